package e2e

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// TestTheGuidesExample is the guide's own client: a sandbox, a socket, a prompt, and what comes over the socket.
func TestTheGuidesExample(t *testing.T) {
	h := open(t)
	h.model.Handle(func(scripted.Request) scripted.Answer { return scripted.Text("The square root of 16 is 4.") })

	var box struct {
		SandboxID, UserID, Status string
		CreatedAt                 int64
	}
	h.post(t, "/api/sandbox/create", `{"userId":"user123"}`, http.StatusCreated, &box)
	if box.SandboxID == "" || box.UserID != "user123" || box.Status != "ready" || box.CreatedAt == 0 {
		t.Fatalf("sandbox = %+v", box)
	}
	socket, _, err := websocket.Dial(t.Context(), strings.Replace(h.URL(), "http", "ws", 1)+"/ws?userId=user123", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	var accepted struct {
		JobID    string
		Accepted bool
	}
	body, _ := json.Marshal(map[string]string{
		"userId": "user123", "sandboxId": box.SandboxID, "input": "What is the square root of 16?", "model": "sonnet",
	})
	h.post(t, "/api/knowledge/process", string(body), http.StatusAccepted, &accepted)
	if !accepted.Accepted {
		t.Fatalf("answer = %+v", accepted)
	}
	var got []client.Event
	for len(got) == 0 || got[len(got)-1].Type != client.EventDone {
		_, raw, err := socket.Read(t.Context())
		if err != nil {
			t.Fatalf("read the socket after %v: %v", lines(got), err)
		}
		var e client.Event
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Fatal(err)
		}
		if e.JobID != accepted.JobID || e.SandboxID != box.SandboxID || e.TS == 0 || e.Cursor == "" || e.Seq != int64(len(got)+1) {
			t.Errorf("message %d = %s", len(got)+1, raw)
		}
		got = append(got, e)
	}
	host, _, err := net.SplitHostPort(strings.TrimPrefix(h.model.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"state queued", "state running", "job started", "claude --version OK", "ANTHROPIC_API_KEY: present",
		"dns preflight: " + host, "https preflight: " + host, "executing claude command",
		"claude response: The square root of 16 is 4....", "result", "done 0",
	}
	if !slices.Equal(lines(got), want) {
		t.Errorf("events = %q\nwant     %q", lines(got), want)
	}
	if result := got[len(got)-2]; result.Format != "text" || result.Data != "The square root of 16 is 4." {
		t.Errorf("result = %+v", result)
	}
	if stored := h.events(t, accepted.JobID); !slices.Equal(stored, got) {
		t.Errorf("the socket showed %v\nSQL holds        %v", got, stored)
	}
}

// TestAJSONResultIsTheCLIsObject: outputFormat shapes our answer, never the command.
func TestAJSONResultIsTheCLIsObject(t *testing.T) {
	h := open(t)
	j := h.ask(t, client.Submit{Input: "What is 2+2?", OutputFormat: "json"})
	var object struct {
		Type, Result string
		IsError      bool `json:"is_error"`
	}
	if j.Result == nil || j.Result.Format != "json" {
		t.Fatalf("job = %+v", j)
	}
	if err := json.Unmarshal(j.Result.JSON, &object); err != nil || object.Type != "result" || object.Result != "The answer is 4." {
		t.Errorf("result.json = %s (%v)", j.Result.JSON, err)
	}
	events := h.events(t, j.JobID)
	shown := events[len(events)-2]
	if err := json.Unmarshal([]byte(shown.Data), &object); err != nil || shown.Format != "json" || object.Result != "The answer is 4." {
		t.Errorf("result event = %+v (%v)", shown, err)
	}
	if len(j.Usage) != 1 || j.Usage[0].InputTokens != 12 || j.Usage[0].OutputTokens != 9 || j.CostUSD == nil || *j.CostUSD <= 0 {
		t.Errorf("usage = %+v, cost = %v", j.Usage, j.CostUSD)
	}
}

// post sends a body and decodes the answer, which must have the status.
func (h *house) post(t testing.TB, path, body string, status int, into any) {
	t.Helper()
	resp, err := http.Post(h.URL()+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var raw bytes.Buffer
	if _, err := raw.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Fatalf("POST %s = %d, want %d: %s", path, resp.StatusCode, status, &raw)
	}
	if err := json.Unmarshal(raw.Bytes(), into); err != nil {
		t.Fatalf("POST %s answered %s: %v", path, &raw, err)
	}
}
