package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a prompt in the inn has said while it sleeps, and what it says when it is woken.
const (
	asleep = `{"type":"system","subtype":"init","session_id":"00000000-0000-0000-0000-000000000000"}
{"type":"system","subtype":"status","status":"requesting"}
`
	awake = `{"type":"result","subtype":"success","is_error":false,"num_turns":1,"stop_reason":"end_turn","result":"slept","usage":{"input_tokens":3,"output_tokens":1},"session_id":"00000000-0000-0000-0000-000000000000"}
`
)

// inn is a platform without sandboxes: it answers as sandboxes would in which prompts sleep until they are woken. A
// sandbox takes 10 MB and its polls some programs, so two thousand real ones need another machine than the worker's; in an
// inn they cost next to nothing, and what is measured is the worker. It gives the answers of Daytona's API and of the run
// directory's scripts, and an answer that a worker does not understand fails the test, for the job then fails.
type inn struct {
	*httptest.Server
	t    testing.TB
	wake chan struct{}

	mu     sync.Mutex
	guests map[string]map[string]any // :: name → sandbox as the platform tells of it
	light  map[string]bool           // :: run → its prompt does not sleep
}

// lightly is what a prompt says that does not sleep.
const lightly = "lightly"

func openInn(t testing.TB, wake chan struct{}) *inn {
	t.Helper()
	i := &inn{t: t, wake: wake, guests: map[string]map[string]any{}, light: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/sandbox", i.list)
	mux.HandleFunc("POST /api/sandbox", i.create)
	mux.HandleFunc("GET /api/sandbox/{id}", i.get)
	mux.HandleFunc("POST /api/sandbox/{id}/last-activity", i.get)
	mux.HandleFunc("POST /toolbox/{id}/process/session", done)
	mux.HandleFunc("DELETE /toolbox/{id}/process/session/{session}", done)
	mux.HandleFunc("POST /toolbox/{id}/files/bulk-upload", i.upload)
	mux.HandleFunc("POST /toolbox/{id}/process/session/{session}/exec", i.exec)
	mux.HandleFunc("POST /toolbox/{id}/process/execute", i.execute)
	mux.HandleFunc("GET /api/snapshots/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"id": r.PathValue("name"), "name": r.PathValue("name"), "state": "active"})
	})
	mux.HandleFunc("GET /api/health", done)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the inn does not know %s %s", r.Method, r.URL.Path)
		http.NotFound(w, r)
	})
	i.Server = httptest.NewServer(arrived(mux))
	t.Cleanup(func() { i.CloseClientConnections(); i.Close() })
	return i
}

// arrived hands on requests whose bodies have arrived: whoever is stopped in the middle of one asks nothing.
func arrived(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // a reader that has gone is none of ours
}

func done(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{}) }

func (i *inn) read(r *http.Request, into any) {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		i.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
	}
}

func (i *inn) list(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	items := []any{}
	for _, g := range i.guests {
		items = append(items, g)
	}
	answer(w, map[string]any{"items": items, "nextCursor": nil})
}

func (i *inn) create(w http.ResponseWriter, r *http.Request) {
	var g map[string]any
	i.read(r, &g)
	g["id"], g["state"], g["toolboxProxyUrl"], g["createdAt"] = g["name"], "started", i.URL+"/toolbox", time.Now().UTC()
	delete(g, "env") // it has the key
	i.mu.Lock()
	defer i.mu.Unlock()
	i.guests[fmt.Sprint(g["name"])] = g
	answer(w, g)
}

func (i *inn) get(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	g, ok := i.guests[r.PathValue("id")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	answer(w, g)
}

// upload is a launch's files, of which the last is the prompt.
func (i *inn) upload(w http.ResponseWriter, r *http.Request) {
	err := r.ParseMultipartForm(1 << 20)
	if err == nil && strings.HasSuffix(r.FormValue("files[3].path"), "/prompt") {
		var prompt []byte
		if file, _, open := r.FormFile("files[3].file"); open == nil {
			prompt, err = io.ReadAll(file)
		}
		i.mu.Lock()
		i.light[strings.Split(r.FormValue("files[3].path"), "/")[5]] = string(prompt) == lightly
		i.mu.Unlock()
	}
	if err != nil {
		i.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	done(w, r)
}

// awaken is the end of a sleep that never began.
var awaken = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// exec is a session's command: the preflight, or the launch.
func (i *inn) exec(w http.ResponseWriter, r *http.Request) {
	var q struct{ Command string }
	i.read(r, &q)
	said := "sandpiper started\n"
	if !strings.Contains(q.Command, "/run.sh\" launch ") {
		said = fmt.Sprintf("preflight: claude=0 2.1.330 (Claude Code)\npreflight: key=10\npreflight: clock=%d\npreflight: dns=skipped\npreflight: https=ok\npreflight: end\n",
			time.Now().UnixMilli())
	}
	answer(w, map[string]any{"cmdId": "c", "stdout": said, "stderr": "", "exitCode": 0})
}

// execute is a one-shot command: a look, or a poll. Its arguments are its last words.
func (i *inn) execute(w http.ResponseWriter, r *http.Request) {
	var q struct{ Command string }
	i.read(r, &q)
	words := strings.Fields(q.Command[strings.LastIndex(q.Command, "' sandpiper")+len("' sandpiper"):])
	for n := range words {
		words[n] = strings.Trim(words[n], "'")
	}
	path := "/home/daytona/.sandpiper/runs/" + words[0] + "/out"
	if strings.Contains(q.Command, "sandpiper-look %s") {
		answer(w, map[string]any{"exitCode": 0, "result": fmt.Sprintf("sandpiper-look 1 1 1 1 - %d 1 -\n%s\n.\n", len(asleep), path)})
		return
	}
	offset, err := strconv.Atoi(words[1])
	wait, err2 := strconv.Atoi(words[2])
	if err != nil || err2 != nil {
		i.t.Errorf("a poll with the arguments %q", words)
	}
	i.mu.Lock()
	light := i.light[words[0]]
	i.mu.Unlock()
	answer(w, map[string]any{"exitCode": 0, "result": i.poll(r, path, offset, time.Duration(wait)*time.Millisecond, light)})
}

// poll waits as the script does: not at all for what is there, else until there is more, or for so long.
func (i *inn) poll(r *http.Request, path string, offset int, wait time.Duration, light bool) string {
	if offset < len(asleep) {
		wait = 0
	}
	woken := i.wake
	if light {
		woken, wait = awaken, time.Hour
	}
	limit := time.NewTimer(wait)
	defer limit.Stop()
	state, code, out := "running", "-", asleep
	select {
	case <-r.Context().Done():
	case <-limit.C:
	case <-woken:
		state, code, out = "ended", "0", asleep+awake
	}
	return fmt.Sprintf("sandpiper-follow %s %s %d\n%s\n%s\n\n.\n", state, code, len(out), path, base64.StdEncoding.EncodeToString([]byte(out[min(offset, len(out)):])))
}
