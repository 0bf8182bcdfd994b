package claude_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/claude"
	"sandpiper/internal/job"
)

func TestDecoderTells(t *testing.T) {
	for name, tc := range map[string]struct {
		out  string
		want []claude.Item
	}{
		"the start": {
			`{"subtype":"init","model":"m","tools":["Bash"],"session_id":"s","claude_code_version":"2.1.330","type":"system"}`,
			[]claude.Item{claude.Init{SessionID: "s", Model: "m", Version: "2.1.330", Tools: []string{"Bash"}}},
		},
		"a request": {`{"type":"system","subtype":"status","status":"requesting"}`, []claude.Item{claude.Requesting{}}},
		"a retry with a delay that is a float": {
			`{"type":"system","subtype":"api_retry","attempt":1,"max_retries":2,"retry_delay_ms":519.98,"error_status":529,"error":"overloaded"}`,
			[]claude.Item{claude.Retry{Attempt: 1, Max: 2, Delay: 519980 * time.Microsecond, Status: 529, Error: "overloaded"}},
		},
		"a retry without a status, and with a delay not to be believed": {
			`{"type":"system","subtype":"api_retry","attempt":-1,"retry_delay_ms":1e300,"error_status":null,"error":null}`,
			[]claude.Item{claude.Retry{Delay: 24 * time.Hour}},
		},
		"a refused tool": {
			`{"type":"system","subtype":"permission_denied","tool_name":"Bash","message":"needs approval"}`,
			[]claude.Item{claude.Denied{Tool: "Bash", Message: "needs approval"}},
		},
		"another model": {
			`{"type":"system","subtype":"model_fallback","original_model":"a","fallback_model":"b"}`,
			[]claude.Item{claude.Fallback{From: "a", To: "b"}},
		},
		"a piece of text": {
			`{"type":"stream_event","event":{"type":"content_block_delta","delta":{"type":"text_delta","text":"4"}},"parent_tool_use_id":null}`,
			[]claude.Item{claude.Partial{Text: "4"}},
		},
		"the model's text": {
			`{"type":"assistant","message":{"id":"1","model":"m","content":[{"type":"text","text":"4"}]}}`,
			[]claude.Item{claude.Answer{Text: "4"}},
		},
		"the end": {`{"result":"4","is_error":false,"type":"result"}`, []claude.Item{claude.Result{Text: "4"}}},
		"an array of all events": {
			`[{"type":"system","subtype":"status","status":"requesting"},{"type":"result","result":"4"}]`,
			[]claude.Item{claude.Requesting{}, claude.Result{Text: "4"}},
		},
		"JSON behind terminal codes": {"\x1b[2J\x1b[3J\x1b[H" + `{"type":"result"}`, []claude.Item{claude.Result{}}},
		"a carriage return":          {`{"type":"result"}` + "\r", []claude.Item{claude.Result{}}},
		"not a subagent's text": {
			`{"type":"assistant","parent_tool_use_id":"toolu_1","message":{"id":"1","model":"m","content":[{"type":"text","text":"4"}]}}`,
			nil,
		},
		"not a subagent's pieces": {
			`{"type":"stream_event","parent_tool_use_id":"toolu_1","event":{"type":"content_block_delta","delta":{"type":"text_delta","text":"4"}}}`,
			nil,
		},
		"not what the CLI says in the model's name": {
			`{"type":"assistant","message":{"id":"1","model":"<synthetic>","content":[{"type":"text","text":"API Error"}]}}`,
			nil,
		},
		"nothing of an unknown type":         {`{"type":"telemetry","text":"x"}`, nil},
		"nothing of an unknown subtype":      {`{"type":"system","subtype":"thinking_tokens","estimated_tokens":1}`, nil},
		"a field of another type is no loss": {`{"type":"result","num_turns":"three","result":"4","usage":[]}`, []claude.Item{claude.Result{Text: "4"}}},
		"nothing of text":                    {`Hello.`, nil},
		"nothing of half a line of JSON":     {`{"type":"result","resu`, nil},
		"nothing of an empty line":           {``, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var d claude.Decoder
			if got := d.Lines([]byte(tc.out + "\n")); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("Lines(%s) = %#v, want %#v", tc.out, got, tc.want)
			}
		})
	}
}

func TestUsageIsKnownWhileItRuns(t *testing.T) {
	var d claude.Decoder
	var last claude.Usage
	step := func(line string, want ...job.ModelUsage) {
		t.Helper()
		for _, item := range d.Lines([]byte(line + "\n")) {
			if u, ok := item.(claude.Usage); ok {
				last = u
			}
		}
		if !slices.Equal(d.Usage(), want) || !slices.Equal(last.Models, want) {
			t.Errorf("after %.60s… usage = %v, item %v, want %v", line, d.Usage(), last.Models, want)
		}
	}
	step(`{"type":"stream_event","event":{"type":"message_start","message":{"id":"1","model":"b","usage":{"input_tokens":12,"cache_read_input_tokens":5,"cache_creation_input_tokens":7,"output_tokens":1}}}}`,
		job.ModelUsage{Model: "b", InputTokens: 12, OutputTokens: 1, CacheReadTokens: 5, CacheWriteTokens: 7})
	// The same message again, with the count of its start: it is neither counted twice nor believed.
	step(`{"type":"assistant","message":{"id":"1","model":"b","content":[],"usage":{"input_tokens":12,"output_tokens":1}}}`,
		job.ModelUsage{Model: "b", InputTokens: 12, OutputTokens: 1, CacheReadTokens: 5, CacheWriteTokens: 7})
	step(`{"type":"stream_event","event":{"type":"message_delta","usage":{"output_tokens":9.0}}}`,
		job.ModelUsage{Model: "b", InputTokens: 12, OutputTokens: 9, CacheReadTokens: 5, CacheWriteTokens: 7})
	step(`{"type":"stream_event","event":{"type":"message_start","message":{"id":"2","model":"a","usage":{"input_tokens":3,"output_tokens":1}}}}`,
		job.ModelUsage{Model: "a", InputTokens: 3, OutputTokens: 1},
		job.ModelUsage{Model: "b", InputTokens: 12, OutputTokens: 9, CacheReadTokens: 5, CacheWriteTokens: 7})
}

func TestManyMessagesAreCountedOnce(t *testing.T) {
	var d claude.Decoder
	for i := range 100 {
		id, _ := json.Marshal(i)
		d.Lines([]byte(`{"type":"stream_event","event":{"type":"message_start","message":{"id":"m` + string(id) +
			`","model":"m","usage":{"input_tokens":10,"output_tokens":1}}}}` + "\n" +
			`{"type":"stream_event","event":{"type":"message_delta","usage":{"output_tokens":5}}}` + "\n"))
	}
	want := []job.ModelUsage{{Model: "m", InputTokens: 1000, OutputTokens: 500}}
	if got := d.Usage(); !slices.Equal(got, want) {
		t.Errorf("usage = %v, want %v", got, want)
	}
	state, err := json.Marshal(d.State())
	if err != nil || len(state) > 8000 {
		t.Errorf("state of %d bytes, %v: it grows with the run", len(state), err)
	}
}

// pieces feeds out in pieces and returns the items and the verdict.
func pieces(out []byte, cut func(left int) int) ([]claude.Item, claude.Verdict) {
	var d claude.Decoder
	var items []claude.Item
	for len(out) > 0 {
		n := min(len(out), max(1, cut(len(out))))
		items = append(items, d.Lines(out[:n])...)
		out = out[n:]
	}
	return items, d.Judge(claude.Ending{Announced: true})
}

func TestCutsChangeNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, f := range fixtures(t) {
		out := f.read(t)
		items, verdict := pieces(out, func(left int) int { return left })
		for name, cut := range map[string]func(int) int{
			"byte by byte":  func(int) int { return 1 },
			"random pieces": func(int) int { return random.IntN(300) },
		} {
			gotItems, gotVerdict := pieces(out, cut)
			if !reflect.DeepEqual(gotItems, items) || !reflect.DeepEqual(gotVerdict, verdict) {
				t.Errorf("%s %s: other items or another verdict", f.file, name)
			}
		}
	}
}

func TestAnotherWorkerGoesOn(t *testing.T) {
	for _, f := range fixtures(t) {
		out := f.read(t)
		var whole claude.Decoder
		all := whole.Lines(out)
		for at, b := range out {
			if b != '\n' {
				continue
			}
			var first claude.Decoder
			items := first.Lines(out[:at+1])
			stored, err := json.Marshal(first.State())
			if err != nil {
				t.Fatal(err)
			}
			var state claude.State
			if err := json.Unmarshal(stored, &state); err != nil {
				t.Fatal(err)
			}
			second := claude.Restore(state)
			items = append(items, second.Lines(out[at+1:])...)
			if !reflect.DeepEqual(items, all) {
				t.Errorf("%s at byte %d: other items", f.file, at)
			}
			got, want := second.Judge(f.ending()), whole.Judge(f.ending())
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s at byte %d: another verdict: %s, want %s", f.file, at, got.JSON, want.JSON)
			}
		}
	}
}

func TestLongLines(t *testing.T) {
	answer := strings.Repeat("x", 3_000_000)
	for name, tc := range map[string]struct {
		out   string
		want  string
		parts int // bytes that come at a time
	}{
		"an answer of 3 MB is one line": {`{"type":"result","subtype":"success","num_turns":1,"result":"` + answer + `"}`, answer, 256 << 10},
		"a line over the limit is thrown away, and the next one read": {
			strings.Repeat("y", 65<<20) + "\n" + `{"type":"result","subtype":"success","num_turns":1,"result":"4"}`, "4", 32 << 20,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var d claude.Decoder
			for part := range slices.Chunk([]byte(tc.out), tc.parts) {
				d.Lines(part)
			}
			if v := d.Judge(claude.Ending{}); v.Text != tc.want {
				t.Errorf("answer of %d bytes, want %d: %s", len(v.Text), len(tc.want), v.Message)
			}
		})
	}
}

func TestTheResultIsStoredAsItCame(t *testing.T) {
	line := `{"type":"result","num_turns":1,"z":1.50,"result":"4","a":"\u0000"}`
	var d claude.Decoder
	d.Lines([]byte("[" + line + "]\n"))
	if got := string(d.Judge(claude.Ending{}).JSON); got != line {
		t.Errorf("JSON = %s, want %s", got, line)
	}
}

func FuzzDecoder(f *testing.F) {
	for _, c := range fixtures(f) {
		if out := c.read(f); len(out) < 6000 {
			f.Add(out, uint16(100), c.exit)
		}
	}
	f.Add([]byte("{}\n[]\nnull\n[{\"type\":1}]\n\x1b[2J{\n"), uint16(3), 1)
	f.Fuzz(func(t *testing.T, out []byte, cut uint16, exit int) {
		var whole, parts claude.Decoder
		want := whole.Lines(out)
		var got []claude.Item
		for part := range slices.Chunk(out, int(cut)+1) {
			got = append(got, parts.Lines(bytes.Clone(part))...)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("items in pieces of %d = %#v, want %#v", cut+1, got, want)
		}
		e := claude.Ending{Exit: exit, Stderr: string(out), Announced: cut%2 == 0, Resumed: cut%3 == 0, WantSchema: cut%5 == 0}
		v := whole.Judge(e)
		if again := whole.Judge(e); !reflect.DeepEqual(v, again) {
			t.Fatalf("judged twice: %+v, then %+v", v, again)
		}
		if !v.State.Terminal() || v.Class == "" || v.Paid == "" || (v.Code == "") != (v.Class == claude.ClassSucceeded) {
			t.Fatalf("verdict %+v is not whole", v)
		}
		if v.JSON != nil && !json.Valid(v.JSON) {
			t.Fatalf("JSON of the result is not valid: %s", v.JSON)
		}
		if strings.ContainsAny(v.Message, "\n\r\x00") {
			t.Fatalf("message of more than a line: %q", v.Message)
		}
		if _, err := json.Marshal(whole.State()); err != nil {
			t.Fatal(err)
		}
	})
}
