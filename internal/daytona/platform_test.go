package daytona_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sandpiper/internal/daytona"
	"sandpiper/internal/localdaytona"
)

func TestMain(m *testing.M) {
	if localdaytona.IsDaemon() {
		os.Exit(localdaytona.DaemonMain())
	}
	goleak.VerifyTestMain(m)
}

const key = "dtn_0123456789abcdef"

// platform answers requests by script, in the order in which they come, and keeps what it was asked.
type platform struct {
	t   testing.TB
	web *httptest.Server

	mu     sync.Mutex
	script []answer
	asked  []request
}

type answer struct {
	status int
	body   string
	header map[string]string
	cut    bool // the connection ends before any answer
}

type request struct {
	line   string // method, path and query
	header http.Header
	body   string
	length int64 // as it was announced
}

func newPlatform(t testing.TB, script ...answer) *platform {
	t.Helper()
	p := &platform{t: t, script: script}
	p.web = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.web.Close)
	return p
}

func (p *platform) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Error(err)
	}
	p.mu.Lock()
	p.asked = append(p.asked, request{r.Method + " " + r.URL.RequestURI(), r.Header.Clone(), string(body), r.ContentLength})
	a := answer{status: http.StatusTeapot, body: "the script is over"}
	if len(p.script) > 0 {
		a, p.script = p.script[0], p.script[1:]
	}
	p.mu.Unlock()
	if a.cut {
		panic(http.ErrAbortHandler)
	}
	for name, value := range a.header {
		w.Header()[name] = []string{value}
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

func (p *platform) client(change ...func(*daytona.Options)) *daytona.Client {
	o := daytona.Options{URL: p.web.URL + "/api/", Key: key, StartTimeout: 20 * time.Second}
	for _, c := range change {
		c(&o)
	}
	c := daytona.New(o)
	p.t.Cleanup(c.Close)
	return c
}

func (p *platform) toolbox() *daytona.Toolbox {
	return p.client().Toolbox(daytona.Sandbox{ID: "id1", ToolboxURL: p.web.URL + "/toolbox/"})
}

// lines are the requests so far.
func (p *platform) lines() (lines []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.asked {
		lines = append(lines, r.line)
	}
	return lines
}

func (p *platform) last() request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[len(p.asked)-1]
}

// sandbox is a body as the real platform gave it, with a state.
func sandbox(state string, change ...string) string {
	body := map[string]any{
		"id": "c7614d75", "organizationId": "b61a0af9", "name": "sbx_1", "target": "us", "snapshot": "s", "user": "daytona",
		"env": map[string]string{"X": "y"}, "cpu": 1, "gpu": 0, "memory": 1, "disk": 3, "public": false, "networkBlockAll": false,
		"labels": map[string]string{"a": "b"}, "volumes": []string{}, "state": state, "desiredState": "started",
		"errorReason": nil, "createdAt": "2026-11-23T09:00:59.024Z", "toolboxProxyUrl": "http://proxy.example/toolbox",
	}
	for i := 0; i < len(change); i += 2 {
		body[change[i]] = change[i+1]
	}
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func ok(body string) answer { return answer{status: http.StatusOK, body: body} }

func refusal(status int, message string) answer {
	raw, err := json.Marshal(map[string]any{"statusCode": status, "message": message, "error": http.StatusText(status), "path": "/x"})
	if err != nil {
		panic(err)
	}
	return answer{status: status, body: string(raw)}
}
