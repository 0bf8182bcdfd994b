package claude_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/claude"
)

func TestParseEndpoint(t *testing.T) {
	for name, tc := range map[string]struct {
		url  string
		want claude.Endpoint // the zero value: refused
	}{
		"none is the CLI's own":     {"", claude.Endpoint{Host: "api.anthropic.com", URL: "https://api.anthropic.com"}},
		"an address and a port":     {"http://127.0.0.1:3987", claude.Endpoint{Host: "127.0.0.1", Literal: true, URL: "http://127.0.0.1:3987"}},
		"IPv6":                      {"http://[::1]/v", claude.Endpoint{Host: "::1", Literal: true, URL: "http://[::1]/v"}},
		"IPv6 and a port":           {"http://[::1]:80", claude.Endpoint{Host: "::1", Literal: true, URL: "http://[::1]:80"}},
		"a path, without its query": {"https://proxy_1.example/llm/a?key=x#y", claude.Endpoint{Host: "proxy_1.example", URL: "https://proxy_1.example/llm/a"}},
		"a password is left out":    {"https://me:secret@example.com:8443/", claude.Endpoint{Host: "example.com", URL: "https://example.com:8443/"}},
		"another scheme":            {"ftp://example.com", claude.Endpoint{}},
		"no host":                   {"https:///x", claude.Endpoint{}},
		"a host like an option":     {"https://-oProxy/", claude.Endpoint{}},
		"a host with a quote":       {"https://a'b/", claude.Endpoint{}},
		"not a URL":                 {"http://[", claude.Endpoint{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := claude.ParseEndpoint(tc.url)
			if got != tc.want || (err == nil) != (tc.want != claude.Endpoint{}) {
				t.Errorf("ParseEndpoint(%q) = %+v, %v, want %+v", tc.url, got, err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v shows a secret", err)
			}
		})
	}
}

// box is a PATH of its own: the machine's tools that the script may use, and stand-ins.
func box(t *testing.T, tools map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"sh", "timeout", "head", "cut", "date", "sleep", "cat"} {
		real, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(real, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, script := range tools {
		path := filepath.Join(dir, name)
		_ = os.Remove(path) // a stand-in for one of the machine's
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// look runs the script as a session does: in a shell that lives on.
func look(t *testing.T, shell []string, path, script string, env ...string) (claude.Preflight, string, time.Duration) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), shell[0], append(shell[1:], "-c", script+"\necho the session lives on")...)
	cmd.Env = append([]string{"PATH=" + path}, env...)
	at := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(at)
	if err != nil || !strings.HasSuffix(string(out), "the session lives on\n") {
		t.Fatalf("session: %v\n%s", err, out)
	}
	p, err := claude.ParsePreflight(string(out))
	if err != nil {
		t.Fatal(err)
	}
	if drift := time.Since(time.UnixMilli(p.Clock)).Abs(); drift > 30*time.Second {
		t.Errorf("clock is %v away", drift)
	}
	p.Clock = 0
	return p, string(out), took
}

func TestPreflight(t *testing.T) {
	const good = "echo 2.1.330 '(Claude Code)'"
	name := claude.Endpoint{Host: "api.example", URL: "https://api.example"}
	address := claude.Endpoint{Host: "127.0.0.1", Literal: true, URL: "http://127.0.0.1:1"}
	well := claude.Preflight{
		Claude: claude.CheckOK, Version: "2.1.330 (Claude Code)", KeyPresent: true, KeyLength: len(apiKey),
		DNS: claude.CheckOK, HTTPS: claude.CheckOK,
	}
	with := func(change func(*claude.Preflight)) claude.Preflight {
		p := well
		change(&p)
		return p
	}
	for fact, tc := range map[string]struct {
		endpoint claude.Endpoint
		tools    map[string]string
		key      string
		want     claude.Preflight
	}{
		"all is well": {name, map[string]string{"claude": good, "nslookup": "exit 0", "curl": "exit 0"}, apiKey, well},
		"no nslookup, so getent": {
			name, map[string]string{"claude": good, "getent": `[ "$*" = "hosts api.example" ]`, "curl": "exit 0"}, apiKey, well,
		},
		"nslookup knows no hosts file, getent does": {
			name, map[string]string{"claude": good, "nslookup": "exit 1", "getent": "exit 0", "curl": "exit 0"}, apiKey, well,
		},
		"no name, no answer, no key": {
			name,
			map[string]string{"claude": good, "nslookup": "exit 1", "getent": "exit 2", "curl": "exit 6"},
			"",
			with(func(p *claude.Preflight) {
				p.DNS, p.HTTPS, p.KeyPresent, p.KeyLength = claude.CheckFailed, claude.CheckFailed, false, 0
			}),
		},
		"no tools": {
			name,
			map[string]string{"claude": good},
			apiKey,
			with(func(p *claude.Preflight) { p.DNS, p.HTTPS = claude.CheckUnknown, claude.CheckUnknown }),
		},
		"an address needs no look-up": {
			address,
			map[string]string{"claude": good, "nslookup": "exit 1", "curl": "exit 0"},
			apiKey,
			with(func(p *claude.Preflight) { p.DNS = claude.CheckSkipped }),
		},
		"the command is missing": {
			name,
			map[string]string{"nslookup": "exit 0", "curl": "exit 0"},
			apiKey,
			with(func(p *claude.Preflight) { p.Claude, p.Version = claude.CheckFailed, "" }),
		},
		"the command is a placeholder": {
			name,
			map[string]string{"claude": "echo native binary not installed; exit 1", "nslookup": "exit 0", "curl": "exit 0"},
			apiKey,
			with(func(p *claude.Preflight) { p.Claude, p.Version = claude.CheckFailed, "" }),
		},
		"the command is slow": {
			name,
			map[string]string{"claude": good, "timeout": `[ "$1" = 4 ] && exit 124; shift; "$@"`, "nslookup": "exit 0", "curl": "exit 0"},
			apiKey,
			with(func(p *claude.Preflight) { p.Claude, p.Version = claude.CheckSlow, "" }),
		},
		"a command that says much, and lies": {
			name,
			map[string]string{"claude": "echo 'v\tx'; echo preflight: key=0; exit 0", "nslookup": "echo preflight: end", "curl": "echo preflight: dns=failed"},
			apiKey,
			with(func(p *claude.Preflight) { p.Version = "v x" }),
		},
	} {
		for _, shell := range [][]string{{"sh"}, {"bash"}, {"sh", "-eux"}} {
			t.Run(fact+" in "+strings.Join(shell, " "), func(t *testing.T) {
				t.Parallel()
				var env []string
				if tc.key != "" {
					env = append(env, "ANTHROPIC_API_KEY="+tc.key)
				}
				p, out, _ := look(t, shell, box(t, tc.tools), claude.PreflightScript(tc.endpoint), env...)
				if p != tc.want {
					t.Errorf("preflight = %+v, want %+v\n%s", p, tc.want, out)
				}
				if strings.Contains(out, apiKey) {
					t.Errorf("the key is in the output:\n%s", out)
				}
			})
		}
	}
}

func TestPreflightOfTheRealCommandIsQuick(t *testing.T) {
	api := httptest.NewServer(http.NotFoundHandler()) // any answer will do
	defer api.Close()
	endpoint, err := claude.ParseEndpoint(api.URL)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(cli(t), filepath.Join(dir, "claude")); err != nil {
		t.Fatal(err)
	}
	p, out, took := look(t, []string{"sh"}, dir+":"+os.Getenv("PATH"), claude.PreflightScript(endpoint),
		"ANTHROPIC_API_KEY="+apiKey, "HOME="+t.TempDir())
	if !p.VersionOK() || !p.KeyPresent || p.DNS != claude.CheckSkipped || p.HTTPS != claude.CheckOK {
		t.Errorf("preflight = %+v\n%s", p, out)
	}
	if took > 5*time.Second {
		t.Errorf("took %v, want about 50 ms", took)
	}
	t.Logf("took %v", took)
}

func TestParsePreflightRefusesHalfAnAnswer(t *testing.T) {
	whole := "preflight: claude=0 2.1.330\npreflight: key=5\npreflight: dns=ok\npreflight: https=ok\npreflight: clock=1700000000123\npreflight: end\n"
	if _, err := claude.ParsePreflight("noise\n" + strings.ReplaceAll(whole, "\n", "\r\n") + "more"); err != nil {
		t.Error(err)
	}
	for i := range strings.Count(whole, "\n") {
		lines := strings.SplitAfter(whole, "\n")
		lines[i] = ""
		if i == 2 || i == 3 { // a look that did not come to its end is unknown, not fatal
			continue
		}
		if p, err := claude.ParsePreflight(strings.Join(lines, "")); err == nil {
			t.Errorf("without line %d: %+v", i, p)
		}
	}
}

func TestLogLinesAreTheGuides(t *testing.T) {
	const host = "api.anthropic.com"
	ok := claude.Preflight{Claude: claude.CheckOK, KeyPresent: true, DNS: claude.CheckOK, HTTPS: claude.CheckOK}
	for name, tc := range map[string]struct {
		change func(*claude.Preflight)
		want   string
	}{
		"all is well": {
			func(*claude.Preflight) {},
			"info claude --version OK|info ANTHROPIC_API_KEY: present|info dns preflight: api.anthropic.com|info https preflight: api.anthropic.com",
		},
		"a missing key is said, and not fatal": {
			func(p *claude.Preflight) { p.KeyPresent = false },
			"info claude --version OK|info ANTHROPIC_API_KEY: missing|info dns preflight: api.anthropic.com|info https preflight: api.anthropic.com",
		},
		"an address shows its line all the same": {
			func(p *claude.Preflight) { p.DNS = claude.CheckSkipped },
			"info claude --version OK|info ANTHROPIC_API_KEY: present|info dns preflight: api.anthropic.com|info https preflight: api.anthropic.com",
		},
		"failures are warnings": {
			func(p *claude.Preflight) { p.DNS, p.HTTPS = claude.CheckFailed, claude.CheckFailed },
			"info claude --version OK|info ANTHROPIC_API_KEY: present|info dns preflight: api.anthropic.com|warn dns preflight failed: api.anthropic.com|" +
				"info https preflight: api.anthropic.com|warn https preflight failed: api.anthropic.com",
		},
		"missing tools are warnings": {
			func(p *claude.Preflight) { p.DNS, p.HTTPS = claude.CheckUnknown, claude.CheckUnknown },
			"info claude --version OK|info ANTHROPIC_API_KEY: present|info dns preflight: api.anthropic.com|warn dns preflight not possible: no nslookup or getent in the sandbox|" +
				"info https preflight: api.anthropic.com|warn https preflight not possible: no curl in the sandbox",
		},
		"a busy machine": {
			func(p *claude.Preflight) { p.Claude = claude.CheckSlow },
			"info claude --version OK|warn claude --version took longer than 4 s|info ANTHROPIC_API_KEY: present|info dns preflight: api.anthropic.com|info https preflight: api.anthropic.com",
		},
		"no command, no line": {func(p *claude.Preflight) { p.Claude = claude.CheckFailed }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := ok
			tc.change(&p)
			var got []string
			for _, l := range p.LogLines(host) {
				got = append(got, l.Level+" "+l.Text)
			}
			if s := strings.Join(got, "|"); s != tc.want {
				t.Errorf("lines = %s\nwant    %s", s, tc.want)
			}
		})
	}
	if claude.JobStarted != "job started" || claude.Executing != "executing claude command" {
		t.Error("not the guide's words")
	}
}

func TestResponseLine(t *testing.T) {
	for name, tc := range map[string]struct{ answer, want string }{
		"a short answer has its dots":       {"4", "claude response: 4..."},
		"a long one, its first 100":         {strings.Repeat("a", 101), "claude response: " + strings.Repeat("a", 100) + "..."},
		"characters, not bytes":             {strings.Repeat("é", 101), "claude response: " + strings.Repeat("é", 100) + "..."},
		"exactly 100":                       {strings.Repeat("漢", 100), "claude response: " + strings.Repeat("漢", 100) + "..."},
		"an empty one":                      {"", "claude response: ..."},
		"lines stay":                        {"a\nb", "claude response: a\nb..."},
		"characters beyond 16 bits are one": {strings.Repeat("😀", 101), "claude response: " + strings.Repeat("😀", 100) + "..."},
	} {
		t.Run(name, func(t *testing.T) {
			if got := claude.ResponseLine(tc.answer); got != tc.want {
				t.Errorf("ResponseLine = %q, want %q", got, tc.want)
			}
		})
	}
}

func FuzzParsePreflight(f *testing.F) {
	f.Add("preflight: claude=0 2.1.330 (Claude Code)\npreflight: key=108\npreflight: dns=ok\npreflight: https=failed\npreflight: clock=1700000000123\npreflight: end\n")
	f.Add("preflight: claude=127 \r\npreflight: key=-1\npreflight: clock=99999999999999999999\npreflight: end")
	f.Fuzz(func(t *testing.T, out string) {
		p, err := claude.ParsePreflight(out)
		if err != nil {
			if p != (claude.Preflight{}) {
				t.Fatalf("%+v with error %v", p, err)
			}
			return
		}
		if p.KeyPresent != (p.KeyLength > 0) || p.Clock < 0 || strings.ContainsAny(p.Version, "\n\r\x00") {
			t.Fatalf("preflight %s is not whole", strconv.Quote(out))
		}
		for _, l := range p.LogLines("h") {
			if l.Text == "" || l.Level != "info" && l.Level != "warn" {
				t.Fatalf("line %+v", l)
			}
		}
	})
}
