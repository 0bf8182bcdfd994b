package e2e

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"sandpiper/client"
	"sandpiper/internal/localdaytona"
	"sandpiper/internal/offline/scripted"
	"sandpiper/snapshot"
)

// platform is a local Daytona of its own, which counts what it is asked.
type platform struct {
	*localdaytona.Server
	url string

	mu    sync.Mutex
	calls []string
	after func(*http.Request) // before the answer to a request is given; may be nil
}

func newPlatform(t testing.TB, claude string) *platform {
	t.Helper()
	o := localdaytona.Options{Dir: t.TempDir(), Key: "dtn_test_0123456789", Claude: claude, Snapshot: snapshot.Name()}
	lightDaemons(&o)
	s, err := localdaytona.New(o)
	if err != nil {
		t.Fatal(err)
	}
	p := &platform{Server: s}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.calls = append(p.calls, r.Method+" "+r.URL.Path)
		after := p.after
		p.mu.Unlock()
		s.Handler().ServeHTTP(w, r) // what it says is sent when this ends
		if after != nil {
			after(r)
		}
	}))
	p.url = web.URL + "/api"
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ln, err := net.Listen("tcp", "127.0.0.1:0") // Run wants a place of its own; nobody calls there
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, ln) }()
	t.Cleanup(func() {
		if err := s.StopAll(ctx); err != nil {
			t.Error(err)
		}
		web.Close()
		stop()
		<-ended
	})
	return p
}

// afterwards has do called when a request has had its effect, and before it is answered.
func (p *platform) afterwards(do func(*http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.after = do
}

// since gives the calls since the last time, without those that only read where a sandbox is.
func (p *platform) since() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = nil
	return calls
}

// counted opens a house whose platform counts. It is reached by URL and key, as a hosted one.
func counted(t testing.TB, more ...string) (*house, *platform) {
	t.Helper()
	p := newPlatform(t, claudeBinary(t))
	model := scripted.New(t)
	return openWith(t, model, append([]string{
		"SANDPIPER_DATA=" + t.TempDir(), "DAYTONA_API_URL=" + p.url, "DAYTONA_API_KEY=dtn_test_0123456789",
		"ANTHROPIC_API_KEY=" + key, "ANTHROPIC_BASE_URL=" + model.URL(), "SANDPIPER_SNAPSHOT=" + snapshot.Name(),
	}, more...)), p
}

// TestAWarmJobCostsThreeCalls: upload, launch, follow.
func TestAWarmJobCostsThreeCalls(t *testing.T) {
	h, p := counted(t, "SANDPIPER_GATHER_MS=10000") // a command that is slower than that is asked once more
	h.ask(t, client.Submit{Input: "What is 2+2?"})
	p.since()
	j := h.ask(t, client.Submit{Input: "What is 2+2?"})
	if calls := p.since(); j.State != "succeeded" || len(calls) > 3 {
		t.Errorf("a warm job (%s) cost %d calls:\n%s", j.State, len(calls), strings.Join(calls, "\n"))
	}
}
