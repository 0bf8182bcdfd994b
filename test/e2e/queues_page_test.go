package e2e

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"sandpiper/client"
	"sandpiper/internal/auth"
	"sandpiper/internal/offline/scripted"
)

// hinted submits prompts, of which none is answered yet, until one runs by its hint. On a busy machine a hint may be
// lost, or come too late for a job that the sweeper has handed out: such a job runs, and no page of asynq's shows it.
func (h *house) hinted(t *testing.T, secret string) (id, hint string) {
	t.Helper()
	for n := 1; n <= 10; n++ {
		id = h.submit(t, client.Submit{UserID: "boss", Input: "a prompt for nobody's eyes"})
		if err := h.model.Wait(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL()+"/ops/queues/api/queues/interactive/active_tasks", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+secret)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		list, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("active hints: %d %s %v", answer.StatusCode, list, err)
		}
		if hint = regexp.MustCompile(id + `:\d+`).FindString(string(list)); hint != "" {
			return id, hint
		}
	}
	t.Fatal("ten jobs run, and none by its hint")
	return "", ""
}

// An operator looks at the queues with a browser that reaches nothing but the API, and knows a key.
func TestTheQueuesAreSeenInABrowser(t *testing.T) {
	secret, entry, err := auth.NewKey("operator", "", "boss", auth.Jobs|auth.Ops)
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, "SANDPIPER_API_KEYS="+entry.String())
	h.api = client.New(h.URL(), client.Options{Key: client.Key(secret)})
	held := make(chan struct{})
	h.model.Handle(func(scripted.Request) scripted.Answer { return scripted.Held(held, scripted.Text("4")) })
	id, hint := h.hinted(t, secret)
	b, at := openBrowser(t), h.URL()+"/ops/queues"
	if status, text := page(t, at); status != http.StatusUnauthorized {
		t.Errorf("without a key: %d %s", status, text)
	}
	// As a person would who is asked for a name and a password: the browser keeps them from then on.
	b.read(t, strings.Replace(at, "http://", "http://operator:"+secret+"@", 1), "interactive")

	queues := b.read(t, at, "interactive", "default", "bulk", "State")
	active := b.read(t, at+"/queues/interactive?status=active", id)
	task := b.read(t, at+"/queues/interactive/tasks/"+hint, "active", hint, "Payload")
	redis := b.read(t, at+"/redis", "Connected to", "Used Memory")
	if strings.Contains(redis, "undefined") || strings.Contains(redis, "NaN") {
		t.Errorf("it has gaps:\n%s", redis)
	}
	for _, shown := range []string{queues, active, task, redis} {
		if strings.Contains(shown, "nobody's eyes") || strings.Contains(shown, secret) || strings.Contains(shown, key) {
			t.Errorf("it shows a secret:\n%s", shown)
		}
	}
	b.wantOwn(t, strings.TrimPrefix(h.URL(), "http://"))

	const api = "/ops/queues/api/queues/interactive"
	for path, method := range map[string]string{
		api: http.MethodDelete, api + ":pause": http.MethodPost, api + "/active_tasks/" + hint + ":cancel": http.MethodPost,
		api + "/active_tasks:cancel_all": http.MethodPost, api + "/pending_tasks:delete_all": http.MethodDelete,
	} {
		if got := b.asks(t, method, path); got != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d, want 405", method, path, got)
		}
	}
	if again := b.read(t, at+"/queues/interactive?status=active", id); strings.Contains(again, "paused") {
		t.Errorf("the queue is paused:\n%s", again)
	}
	close(held)
	if j := h.ended(t, id); j.State != client.Succeeded || j.Attempt != 1 {
		t.Errorf("the job: %+v", j)
	}
}
