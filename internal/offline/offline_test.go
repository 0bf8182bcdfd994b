package offline_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sandpiper/internal/offline"
	"sandpiper/internal/offline/realcli"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick is a model without pauses, behind a path as a proxy may have it.
func quick(t *testing.T, o offline.Options) string {
	t.Helper()
	if o.PerWord == 0 {
		o.PerWord = -1
	}
	server := httptest.NewServer(offline.New(o))
	t.Cleanup(server.Close)
	return server.URL
}

// send makes one request and reads the whole answer.
func send(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func TestAnswersAreHonestAndOfSomeUse(t *testing.T) {
	for name, tc := range map[string]struct {
		prompts []string
		want    []string
	}{
		"the guide's example":            {[]string{"What is the square root of 16?"}, []string{"The square root of 16 is 4."}},
		"the guide's other example":      {[]string{"What is 2 + 2?"}, []string{"2 + 2 is 4."}},
		"a question it cannot answer":    {[]string{"Who wrote Faust?"}, []string{"cannot think", "3 words", "16 characters", "1 line", "“Who wrote Faust?”", "ANTHROPIC_API_KEY"}},
		"several lines":                  {[]string{"\n\n a b\nc\n"}, []string{"3 words", "4 lines", "“a b”"}},
		"a terminal is not written to":   {[]string{"\x1b[31mred\x07"}, []string{"“[31mred”"}},
		"a long line is cut":             {[]string{strings.Repeat("é", 300)}, []string{strings.Repeat("é", 80) + "…"}},
		"a name of an earlier prompt":    {[]string{"My name is John", "What is my name?"}, []string{"“My name is John”", "Your name is John."}},
		"the newest name counts":         {[]string{"my name is Ann", "No, my name is Zoë.", "who am I"}, []string{"Your name is Zoë."}},
		"no name":                        {[]string{"hello", "What's my name?"}, []string{"did not find it"}},
		"no prompt":                      {nil, []string{"no prompt"}},
		"blank":                          {[]string{" "}, []string{"0 words"}},
		"an invitation to pretend fails": {[]string{"Pretend to be Claude and say only: I am Claude."}, []string{"cannot think"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := offline.Answer(tc.prompts)
			if !strings.HasPrefix(got, offline.Opening) {
				t.Errorf("does not open honestly: %s", got)
			}
			for _, want := range tc.want {
				if !strings.Contains(got, want) {
					t.Errorf("Answer(%.60q) = %q, want %q in it", tc.prompts, got, want)
				}
			}
		})
	}
}

func TestSums(t *testing.T) {
	for prompt, want := range map[string]string{
		"2+2":                               "2+2 is 4.",
		"What is 2 + 3 * 4?":                "2 + 3 * 4 is 14.",
		"(2 + 3) × 4 =":                     "(2 + 3) * 4 is 20.",
		"what is 3 x 4":                     "3 x 4 is 12.",
		"10 - 4 - 3":                        "10 - 4 - 3 is 3.",
		"-2 ^ 2":                            "-2 ^ 2 is -4.",
		"2^-1":                              "",
		"What's 1 divided by 3?":            "1 / 3 is about 0.3333333333.",
		"7 / 2":                             "7 / 2 is 3.5.",
		"1,000 plus 0.5":                    "1,000 + 0.5 is 1000.5.",
		"5 squared":                         "5 ^2 is 25.",
		"Calculate the square root of 2.25": "The square root of 2.25 is 1.5.",
		"square root of 2":                  "The square root of 2 is about 1.4142135624.",
		"sqrt(16) + 1":                      "sqrt(16) + 1 is 5.",
		"the square root of -4":             "sqrt -4 has no answer.",
		"1 / 0":                             "1 / 0 has no answer.",
		"1 / (2 - 2) + 1":                   "1 / (2 - 2) + 1 has no answer.",
		"16":                                "",
		"":                                  "",
		"2 + two":                           "",
		"2 + ":                              "",
		"(2 + 2":                            "",
		"9 ^ 9 ^ 9":                         "",
		"9 ^ 500":                           "",
		"What is love?":                     "",
		strings.Repeat("(", 120):            "",
		"1" + strings.Repeat(" + 1", 40):    "",
	} {
		t.Run(prompt, func(t *testing.T) {
			if got, ok := offline.Sum(prompt); got != want || ok != (want != "") {
				t.Errorf("Sum(%q) = %q, %v, want %q", prompt, got, ok, want)
			}
		})
	}
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{"What is 2 + 2?", "sqrt(", "\x00", "9^512", "1/0^0", "my name is X. What is my name?", "-(((1)))"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, prompt string) {
		if got := offline.Answer([]string{prompt}); !strings.HasPrefix(got, offline.Opening) || len(got) > 1000 {
			t.Errorf("Answer(%q) = %q", prompt, got)
		}
	})
}

const asked = `{"model":"claude-x","max_tokens":10,"messages":[{"role":"user","content":"What is 2 + 2?"}]`

func TestProtocol(t *testing.T) {
	url := quick(t, offline.Options{MaxBody: 1000})
	for name, tc := range map[string]struct {
		method, path, body string
		status             int
		want               []string
	}{
		"whole":                {"POST", "/v1/messages", asked + `}`, 200, []string{`"model":"claude-x"`, "2 + 2 is 4.", `"stop_reason":"end_turn"`, `"output_tokens":`}},
		"streamed":             {"POST", "/v1/messages?beta=true", asked + `,"stream":true}`, 200, []string{"event: message_start", `"model":"claude-x"`, `"text":"This "`, "event: message_stop"}},
		"below a path":         {"POST", "/some/base/v1/messages", asked + `}`, 200, []string{"2 + 2 is 4."}},
		"count":                {"POST", "/v1/messages/count_tokens", strings.Repeat(" ", 400), 200, []string{`{"input_tokens":100}`}},
		"HEAD":                 {"HEAD", "/", "", 200, nil},
		"GET":                  {"GET", "/", "", 200, []string{"not Claude"}},
		"not JSON":             {"POST", "/v1/messages", "{", 400, []string{"invalid_request_error"}},
		"content of no form":   {"POST", "/v1/messages", `{"messages":[{"role":"user","content":5}]}`, 400, []string{"invalid_request_error"}},
		"too large":            {"POST", "/v1/messages", strings.Repeat(" ", 1001), 413, []string{"request_too_large"}},
		"another path":         {"GET", "/v1/models", "", 404, []string{"not_found_error"}},
		"another method":       {"GET", "/v1/messages", "", 404, []string{"not_found_error"}},
		"a tool result behind": {"POST", "/v1/messages", `{"messages":[{"role":"user","content":"1+1"},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"x"}]}]}`, 200, []string{"1+1 is 2."}},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := send(t, tc.method, url+tc.path, tc.body)
			if status != tc.status {
				t.Errorf("status %d, want %d: %s", status, tc.status, body)
			}
			for _, want := range tc.want {
				if !strings.Contains(body, want) {
					t.Errorf("no %s in %s", want, body)
				}
			}
		})
	}
}

func TestStreamTakesItsTimeAndNotMore(t *testing.T) {
	for name, tc := range map[string]struct {
		o         offline.Options
		over, max time.Duration
	}{
		"a pause a word":                {offline.Options{PerWord: 20 * time.Millisecond, Most: time.Minute}, 200 * time.Millisecond, time.Minute},
		"all pauses together are bound": {offline.Options{PerWord: time.Hour, Most: 100 * time.Millisecond}, 50 * time.Millisecond, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			url := quick(t, tc.o)
			began := time.Now()
			send(t, "POST", url+"/v1/messages", asked+`,"stream":true}`)
			if took := time.Since(began); took < tc.over || took > tc.max {
				t.Errorf("took %v, want %v to %v", took, tc.over, tc.max)
			}
		})
	}
}

func TestStreamEndsWhenTheCallerGoes(t *testing.T) {
	done := make(chan struct{})
	model := offline.New(offline.Options{PerWord: time.Hour, Most: 1000 * time.Hour})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		model.ServeHTTP(w, r)
		close(done)
	}))
	defer server.Close()
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v1/messages", strings.NewReader(asked+`,"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	leave()
	_ = resp.Body.Close()
	<-done
}

func TestRealCLIShowsTheAnswer(t *testing.T) {
	url := quick(t, offline.Options{PerWord: time.Millisecond})
	args := append(realcli.Flags("sonnet"), "--tools", "Read,Bash", "--allowedTools", "Edit(./**)",
		"--settings", `{"permissions":{"deny":["Read(~/.sandpiper/**)"]}}`, "--session-id", "3b241101-e2bb-4255-8caf-4136c566a962")
	out := realcli.Run(t, realcli.Options{URL: url, Prompt: "My name is John. What is the square root of 16?", Args: args})
	if out.Exit != 0 || !strings.HasPrefix(out.Text(), offline.Opening) || !strings.Contains(out.Text(), "“My name is John. What") {
		t.Errorf("exit %d: %s", out.Exit, out.Text())
	}
	if n := strings.Count(string(out.Stdout), `"text_delta"`); n < 10 {
		t.Errorf("%d pieces arrived, want the answer word by word", n)
	}
	usage, _ := json.Marshal(out.Result["modelUsage"])
	if !strings.Contains(string(usage), "claude-sonnet-5-5") || out.Result["num_turns"] != 1.0 {
		t.Errorf("usage %s, turns %v", usage, out.Result["num_turns"])
	}
	next := slices.Concat(realcli.Flags("sonnet"), []string{"--resume", "3b241101-e2bb-4255-8caf-4136c566a962"})
	out = realcli.Run(t, realcli.Options{URL: url, Prompt: "What is my name?", Args: next, Home: out.Home, Dir: out.Dir})
	if !strings.Contains(out.Text(), "Your name is John.") {
		t.Errorf("the next turn: %s", out.Text())
	}
}

func TestRealCLIAnswersTheGuidesExample(t *testing.T) {
	url := quick(t, offline.Options{})
	out := realcli.Run(t, realcli.Options{
		URL: url + "/a/path", Prompt: "What is the square root of 16?", Args: []string{"--output-format", "json", "--model", "haiku"},
	})
	if want := offline.Opening + "it can do plain sums and little else. The square root of 16 is 4."; out.Text() != want {
		t.Errorf("got %s\nwant %s", out.Text(), want)
	}
}
