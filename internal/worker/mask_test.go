package worker

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sandpiper/internal/job"
)

const testKey = "sk-ant-api03-Zq8_v-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890-abcdefghAA"

func TestKnownSecretsAreMasked(t *testing.T) {
	m := newMask([]string{"sk-ant-secret", "sk-ant-secret-longer", "short", "", `quo"te\slash%25`, "überschlüssel"})
	for in, want := range map[string]string{
		"key: sk-ant-secret.":                     "key: [secret].",
		"sk-ant-secret-longer":                    "[secret]", // not "[secret]-longer"
		"twice sk-ant-secret sk-ant-secret":       "twice [secret] [secret]",
		"sk-ant-secretsk-ant-secret":              "[secret][secret]",
		"short words stay short":                  "short words stay short",
		"sk-ant-secre":                            "[secret]", // the text was cut
		"the sk-ant-secre is not here":            "the sk-ant-secre is not here",
		"secret-longer, of which the head is cut": "[secret], of which the head is cut",
		"sk-ant\n-secret":                         "[secret]", // a terminal's line break
		`sk-\u0061nt\u002Dsecret`:                 "[secret]",
		`sk-\\u0061nt-s\x65cret`:                  "[secret]",
		"sk%2dant%252Dsecret":                     "[secret]",
		`say quo"te\slash%25`:                     "say [secret]",
		`"quo\"te\\slash%25"`:                     `"[secret]"`,
		`"\"quo\\\"te\\\\slash%25\""`:             `"\"[secret]\""`,
		`quo%22te%5cslash%2525`:                   "[secret]",
		`\u00fcberschl\u00fcssel`:                 "[secret]",
		"%C3%BCberschl%c3%bcssel":                 "[secret]",
		"73 6b 2d 61 6e 74 2d 73 65 63 72 65 74":  "[secret]",
		"736B2D616E742D736563726574":              "[secret]",
		"":                                        "",
		`\`:                                       `\`,
		"100% \\u00":                              "100% \\u00",
	} {
		if got := m.text(in); got != want {
			t.Errorf("mask(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNoSecretsNoWork(t *testing.T) {
	if got := newMask(nil).text(`any \u0041 %41 text`); got != `any \u0041 %41 text` {
		t.Errorf("got %q", got)
	}
}

// TestSecretsThatOverlapAreOneFind: what is left of neither is shown.
func TestSecretsThatOverlapAreOneFind(t *testing.T) {
	m := newMask([]string{"abcdefghijkl", "ijklmnopqrst"})
	if got := m.text("<abcdefghijklmnopqrst>"); got != "<[secret]>" {
		t.Errorf("got %q", got)
	}
}

func TestEveryPartOfAnOutcomeIsMasked(t *testing.T) {
	const key = "sk-ant-secret"
	m := newMask([]string{key})
	answered := m.outcome(job.Outcome{
		Result: &job.Result{Text: "it is " + key, JSON: []byte(`{"result":"it is ` + key + `"}`)},
		Usage:  []job.ModelUsage{{Model: key}},
		Log:    "claude response: it is " + key,
	})
	failed := m.outcome(job.FailedWith(job.Failed, job.Failure{Message: "bad key " + key}, 1))
	events := m.events([]job.Event{{Data: key}, {Message: key}, {Reason: key}})
	for _, s := range []string{
		answered.Result.Text, string(answered.Result.JSON), failed.Failure.Message, answered.Usage[0].Model, answered.Log,
		events[0].Data, events[1].Message, events[2].Reason,
	} {
		if strings.Contains(s, key) || !strings.Contains(s, masked) {
			t.Errorf("not masked: %q", s)
		}
	}
}

func TestJSONStaysJSON(t *testing.T) {
	m := newMask([]string{`a"b\c","d":1`, "1234567890", "-0.12345e+10"})
	for in, want := range map[string]string{
		`{"x":"a\"b\\c\",\"d\":1"}`:               `{"x":"[secret]"}`,
		`{"a\"b\\c\",\"d\":1":true}`:              `{"[secret]":true}`,
		`[1234567890, 12, -0.12345e+10,null]`:     `["[secret]", 12, "[secret]",null]`,
		`{"t":"\\\"a\\\"b\\\\c\\\",\\\"d\\\":1"}`: `{"t":"\\\"[secret]"}`,
		`{"x":"a\u0022b\u005cc\",\u0022d\":1"}`:   `{"x":"[secret]"}`,
		`{"kept":"\u0041<>\/"}`:                   `{"kept":"\u0041<>\/"}`,
		`not JSON 1234567890`:                     `not JSON [secret]`,
	} {
		if got := string(m.json([]byte(in))); got != want {
			t.Errorf("mask(%s) = %s\nwant %s", in, got, want)
		}
	}
	if m.json(nil) != nil {
		t.Error("nothing became something")
	}
}

// written are the forms of a text in which a secret stands.
func written(before, secret, after string) map[string]string {
	text := before + secret + after
	all := map[string]string{
		"plain": text, "hex": hex.EncodeToString([]byte(text)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(text))),
		"base64": base64.StdEncoding.EncodeToString([]byte(text)), "base64 raw": base64.RawStdEncoding.EncodeToString([]byte(text)),
		"base64url": base64.URLEncoding.EncodeToString([]byte(text)), "base64url raw": base64.RawURLEncoding.EncodeToString([]byte(text)),
		"query": url.QueryEscape(text), "path": url.PathEscape(text), "lines": folded(text, 7),
	}
	all["base64 in lines"] = folded(all["base64"], 76)
	all["base64 in a query"] = url.QueryEscape(all["base64"])
	var units strings.Builder
	for _, b := range []byte(text) {
		fmt.Fprintf(&units, `\u%04x`, b)
	}
	all[`\u00xx`] = units.String()
	for _, level := range []string{"JSON", "JSON in JSON", "JSON in JSON in JSON"} {
		raw, _ := json.Marshal(text)
		text = string(raw)
		all[level] = text
	}
	return all
}

func folded(text string, width int) string {
	var out strings.Builder
	for i := range len(text) {
		if i > 0 && i%width == 0 {
			out.WriteByte('\n')
		}
		out.WriteByte(text[i])
	}
	return out.String()
}

// printable ASCII, of which keys are made; and what may stand around one.
var (
	secrets      = rapid.StringMatching(`[!-~]{8,120}`)
	surroundings = rapid.StringMatching(`[ -~\n]{0,40}`)
)

// survives reports whether a form of the secret is in text, found by other means than the search's.
func survives(text, secret string) string {
	for what, s := range map[string]string{
		"plain": secret, "hex": hex.EncodeToString([]byte(secret)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"query": url.QueryEscape(secret),
	} {
		if strings.Contains(text, s) {
			return what
		}
	}
	for shift := range 3 {
		whole := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + secret))
		core := whole[(shift*8+5)/6 : (shift+len(secret))*8/6] // the letters that hold nothing but the secret
		if strings.Contains(text, core) || strings.Contains(text, strings.NewReplacer("+", "-", "/", "_").Replace(core)) {
			return fmt.Sprintf("base64, shift %d", shift)
		}
	}
	return ""
}

func TestNoFormOfASecretSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := secrets.Filter(func(s string) bool { return !strings.Contains(masked, s) }).Draw(t, "secret")
		m := newMask([]string{secret, secrets.Draw(t, "another")})
		for name, text := range written(surroundings.Draw(t, "before"), secret, surroundings.Draw(t, "after")) {
			clean := m.text(text)
			if what := survives(clean, secret); what != "" || !strings.Contains(clean, masked) {
				t.Fatalf("%s: %s of %q survives in %q", name, what, secret, clean)
			}
			raw, _ := json.Marshal(map[string]any{"result": text, text: []string{text}})
			object := m.json(raw)
			if !json.Valid(object) || survives(string(object), secret) != "" {
				t.Fatalf("%s: JSON became %s", name, object)
			}
		}
	})
}

func TestWhatHoldsNoSecretIsUnchanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMask([]string{"0123456789" + secrets.Draw(t, "secret")}) // ten digits that the text has not
		text := rapid.StringMatching(`([ -/:-~\n]|\\|%|\\u|é){0,200}`).Draw(t, "text")
		if got := m.text(text); got != text {
			// Only the end of a secret may stand at the beginning of a text.
			if rest, ok := strings.CutPrefix(got, masked); !ok || !strings.HasSuffix(text, rest) {
				t.Fatalf("mask(%q) = %q", text, got)
			}
		}
		raw, _ := json.Marshal(text)
		if got := m.json(raw); !json.Valid(got) {
			t.Fatalf("mask(%s) = %s", raw, got)
		}
	})
}

func FuzzMask(f *testing.F) {
	f.Add("sk-ant-0123456789", "key: ", ".")
	f.Add(`a"b\c%25defgh`, `\`, "%")
	f.Add("\\\\\\\\\\\\\\\\", `\\`, `\`)
	f.Add("\xff\x00\x01\x02\x03\x04\x05é", "\n", "\xed")
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		if len(secret) < shortest || len(secret) > 200 || strings.Contains(masked, secret) || strings.Contains(secret, masked) {
			return
		}
		m := newMask([]string{secret})
		text := before + secret + after
		for _, in := range []string{
			text, hex.EncodeToString([]byte(text)), base64.StdEncoding.EncodeToString([]byte(text)), before + url.QueryEscape(secret) + after,
		} {
			if !strings.Contains(m.text(in), masked) {
				t.Errorf("%q in %q became %q", secret, in, m.text(in))
			}
		}
		raw, _ := json.Marshal(before + after)
		if !json.Valid(m.json(raw)) {
			t.Errorf("%s became %s", raw, m.json(raw))
		}
		m.json([]byte(text)) // does not panic, whatever it is
	})
}

// BenchmarkMask is an answer of 3 MB of prose, with three secrets to look for; and the worst that could be made of
// their beginnings.
func BenchmarkMask(b *testing.B) {
	m := newMask([]string{testKey, "dtn_0123456789abcdef0123456789abcdef", "another-secret-of-some-length"})
	for name, text := range map[string]string{
		"prose":       strings.Repeat("The quick brown fox jumps over the lazy dog, said \"somebody\" again.\n", 3<<20/68),
		"base64":      base64.StdEncoding.EncodeToString([]byte(strings.Repeat("The quick brown fox jumps over ", 9<<20/4/31))),
		"backslashes": strings.Repeat(`\`, 3<<20),
		"beginnings":  strings.Repeat(testKey[:30], 3<<20/30),
		"breaks":      strings.Repeat("s\nk\n\n\n", 3<<20/6),
	} {
		raw, err := json.Marshal(map[string]string{"result": text})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/text", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				m.text(text)
			}
		})
		b.Run(name+"/json", func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				m.json(raw)
			}
		})
	}
}
