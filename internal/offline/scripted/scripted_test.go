package scripted_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sandpiper/internal/offline/scripted"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask posts one prompt and reads the answer to its end. A broken connection is the error.
func ask(ctx context.Context, url, prompt string, stream bool) (status int, header http.Header, body string, err error) {
	asked, err := json.Marshal(map[string]any{
		"model": "claude-test", "stream": stream,
		"messages": []any{map[string]any{"role": "user", "content": prompt}},
	})
	if err != nil {
		return 0, nil, "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/messages?beta=true", bytes.NewReader(asked))
	if err != nil {
		return 0, nil, "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(data), err
}

// answers are what a script may say, and what the caller then reads.
var answers = map[string]struct {
	answer  scripted.Answer
	stream  bool
	status  int
	want    []string // in this order
	wantNot string
}{
	"plain text": {
		scripted.Text("hello"), false, 200,
		[]string{`"text":"hello"`, `"stop_reason":"end_turn"`, `"output_tokens":9`},
		"event:",
	},
	"streamed text comes word by word": {
		scripted.Text("one two"), true, 200,
		[]string{"event: message_start", `"text":"one "`, `"text":"two"`, "event: content_block_stop", `"stop_reason":"end_turn"`, "event: message_stop"},
		"one two",
	},
	"a tool call stops for the tool": {
		scripted.Text("look").AndTool("Bash", map[string]any{"command": "ls"}), true, 200,
		[]string{`"name":"Bash"`, `"partial_json":"{\"command\":\"ls\"}"`, `"stop_reason":"tool_use"`},
		"end_turn",
	},
	"a plain tool call holds its input as an object": {
		scripted.Tool("Bash", map[string]any{"command": "ls"}), false, 200,
		[]string{`"id":"toolu_1_0"`, `"input":{"command":"ls"}`},
		"",
	},
	"thinking is signed": {
		scripted.Thinking("hm", "so"), true, 200,
		[]string{`"thinking_delta"`, `"signature_delta"`, `"text":"so"`},
		"",
	},
	"refusal":     {scripted.Refusal(), false, 200, []string{`"content":[]`, `"stop_reason":"refusal"`}, ""},
	"max tokens":  {scripted.MaxTokens("cut"), false, 200, []string{`"stop_reason":"max_tokens"`}, ""},
	"empty":       {scripted.Empty(), true, 200, []string{"message_start", `"end_turn"`}, "content_block"},
	"zero answer": {scripted.Answer{}, false, 200, []string{"The answer is 4."}, ""},
	"usage": {
		scripted.Text("x").Using(scripted.Usage{InputTokens: 1, OutputTokens: 2, CacheReadInputTokens: 3, CacheCreationInputTokens: 4}), false, 200,
		[]string{`"usage":{"input_tokens":1,"output_tokens":2,"cache_read_input_tokens":3,"cache_creation_input_tokens":4}`},
		"",
	},
	"529":          {scripted.Overloaded(), true, 529, []string{"overloaded_error"}, ""},
	"401":          {scripted.Unauthorized(), true, 401, []string{"authentication_error"}, ""},
	"no credit":    {scripted.NoCredit(), true, 400, []string{"credit balance is too low"}, ""},
	"raw HTML":     {scripted.Raw(200, "text/html", "<html>"), true, 200, []string{"<html>"}, "event"},
	"stream error": {scripted.Text("a").Failing("overloaded_error"), true, 200, []string{"content_block_stop", "event: error", "overloaded_error"}, "message_delta"},
}

func TestAnswers(t *testing.T) {
	for name, tc := range answers {
		t.Run(name, func(t *testing.T) {
			model := scripted.New(t)
			model.Queue(tc.answer)
			status, _, body, err := ask(t.Context(), model.URL(), "q", tc.stream)
			if err != nil || status != tc.status {
				t.Fatalf("status %d, %v, want %d", status, err, tc.status)
			}
			rest := body
			for _, want := range tc.want {
				i := strings.Index(rest, want)
				if i < 0 {
					t.Fatalf("no %s in the rest of\n%s", want, body)
				}
				rest = rest[i:]
			}
			if tc.wantNot != "" && strings.Contains(body, tc.wantNot) {
				t.Errorf("%s in\n%s", tc.wantNot, body)
			}
		})
	}
}

func TestRateLimitSaysWhenToComeBack(t *testing.T) {
	model := scripted.New(t)
	model.Queue(scripted.RateLimited(7 * time.Second))
	status, header, _, err := ask(t.Context(), model.URL(), "q", true)
	if err != nil || status != 429 || header.Get("Retry-After") != "7" {
		t.Errorf("status %d, retry-after %q, %v", status, header.Get("Retry-After"), err)
	}
}

func TestBrokenConnections(t *testing.T) {
	for name, tc := range map[string]struct {
		answer scripted.Answer
		want   string // of the body that still arrived
		not    string
	}{
		"after 40 bytes":             {scripted.Text("hello").CutBytes(40), "event: message_start", "content_block"},
		"after a whole block":        {scripted.Text("a").AndText("b").CutBlocks(1), "content_block_stop", `"b"`},
		"before the first byte":      {scripted.Reset(), "", "event"},
		"in the middle of a tool":    {scripted.Tool("Bash", 1).CutBytes(400), "message_start", "message_stop"},
		"plain JSON, after 10 bytes": {scripted.Raw(200, "application/json", `{"type":"message"}`).CutBytes(10), `{"type":"m`, "message"},
	} {
		t.Run(name, func(t *testing.T) {
			model := scripted.New(t)
			model.Queue(tc.answer)
			_, _, body, err := ask(t.Context(), model.URL(), "q", true)
			if err == nil {
				t.Error("the caller saw a proper end")
			}
			if !strings.Contains(body, tc.want) || strings.Contains(body, tc.not) {
				t.Errorf("arrived %q, want %q in it and not %q", body, tc.want, tc.not)
			}
		})
	}
}

func TestAStalledStreamStaysOpen(t *testing.T) {
	model := scripted.New(t)
	model.Queue(scripted.Text("hello").CutBytes(40).Stalling())
	ctx, leave := context.WithTimeout(t.Context(), 300*time.Millisecond) // a cut would come at once
	defer leave()
	_, _, body, err := ask(ctx, model.URL(), "q", true)
	if !errors.Is(err, context.DeadlineExceeded) || len(body) != 40 {
		t.Errorf("%d bytes, and then %v; want 40, and silence until the caller leaves", len(body), err)
	}
}

func TestAStreamLingersBeforeItIsCut(t *testing.T) {
	const pause = 50 * time.Millisecond
	model := scripted.New(t)
	model.Queue(scripted.Text("hello").CutBytes(40).Lingering(pause))
	begun := time.Now()
	_, _, body, err := ask(t.Context(), model.URL(), "q", true)
	if took := time.Since(begun); err == nil || len(body) != 40 || took < pause {
		t.Errorf("%d bytes, and after %v %v; want 40, and a cut after %v", len(body), took, err, pause)
	}
}

func TestEveryRequestIsKeptByteForByte(t *testing.T) {
	model := scripted.New(t)
	model.Handle(func(r scripted.Request) scripted.Answer { return scripted.Text("you said " + r.Prompt()) })
	var all sync.WaitGroup
	prompts := map[string]bool{}
	for i := range 50 {
		prompt := fmt.Sprintf("%d \x00\r\n\t\"$(x)\" é 🐦 %s", i, strings.Repeat("x", 8000))
		prompts[prompt] = true
		all.Go(func() {
			if _, _, body, err := ask(t.Context(), model.URL()+"/some/base", prompt, false); err != nil || !strings.Contains(body, "you said") {
				t.Errorf("%v: %.100s", err, body)
			}
		})
	}
	all.Wait()
	for i, r := range model.Requests() {
		if r.Seq != i+1 || r.Path != "/some/base/v1/messages" || r.Model() != "claude-test" {
			t.Errorf("request %d: seq %d, path %s, model %s", i, r.Seq, r.Path, r.Model())
		}
		if !prompts[r.LastUserText()] {
			t.Errorf("unknown or doubled prompt %.20q", r.LastUserText())
		}
		delete(prompts, r.LastUserText())
	}
	if len(prompts) > 0 {
		t.Errorf("%d prompts are missing", len(prompts))
	}
}

func TestSilenceLeavesNothingBehind(t *testing.T) {
	model, err := scripted.Open(scripted.Options{})
	if err != nil {
		t.Fatal(err)
	}
	model.Queue(scripted.Silence(), scripted.Held(nil, scripted.Silence()), scripted.Held(make(chan struct{}), scripted.Text("late")))
	var callers sync.WaitGroup
	for range 3 {
		callers.Go(func() {
			if _, _, body, err := ask(context.Background(), model.URL(), "q", true); err == nil {
				t.Errorf("got an answer: %q", body)
			}
		})
	}
	if err := model.Wait(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(model.Close(), model.Close()); err != nil {
		t.Error(err)
	}
	callers.Wait()
}

func TestHeldAnswerWaits(t *testing.T) {
	model := scripted.New(t)
	release := make(chan struct{})
	model.Queue(scripted.Held(release, scripted.Text("now")))
	answered := make(chan string, 1)
	go func() {
		_, _, body, _ := ask(t.Context(), model.URL(), "q", false)
		answered <- body
	}()
	if err := model.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	select {
	case body := <-answered:
		t.Fatalf("answered before the release: %s", body)
	default:
	}
	close(release)
	if body := <-answered; !strings.Contains(body, "now") {
		t.Errorf("got %s", body)
	}
}

func TestRefuseAndAcceptAgain(t *testing.T) {
	model := scripted.New(t)
	if err := model.Refuse(); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := ask(t.Context(), model.URL(), "q", true); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("while refusing: %v", err)
	}
	if err := model.Accept(); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := ask(t.Context(), model.URL(), "q", true); err != nil {
		t.Errorf("after accepting: %v", err)
	}
	if n := len(model.Requests()); n != 1 {
		t.Errorf("%d requests, want 1: a refused one never arrived", n)
	}
}
