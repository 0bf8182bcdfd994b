package fleet

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// ice freezes a worker as SIGSTOP does: whatever it asks of the database or the platform does not leave, and no answer
// reaches it, until it thaws. A process that is stopped does not notice that a context has ended either.
type ice struct {
	mu   sync.Mutex
	held chan struct{} // closed when it thaws; nil while it flows
	// before is told what the worker is about to do; a test may freeze it there. May be nil.
	before func(point string)
	mutate func(body []byte) []byte // changes what goes to the platform, to something as long; may be nil

	answers map[string]string // :: place → what the platform said there last
}

func (i *ice) freeze() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.held == nil {
		i.held = make(chan struct{})
	}
}

func (i *ice) thaw() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.held != nil {
		close(i.held)
		i.held = nil
	}
}

// pass waits while it is frozen.
func (i *ice) pass() {
	i.mu.Lock()
	held := i.held
	i.mu.Unlock()
	if held != nil {
		<-held
	}
}

// at is where the worker is about to do something: the name of a method of the store, or one of places.
func (i *ice) at(point string) {
	i.mu.Lock()
	before := i.before
	i.mu.Unlock()
	if before != nil {
		before(point)
	}
	i.pass()
}

// freezeAt freezes the worker the first time that it is about to do something, and closes the channel then.
func (i *ice) freezeAt(point string) <-chan struct{} {
	frozen := make(chan struct{})
	var once sync.Once
	i.watch(func(p string) {
		if p == point {
			once.Do(func() { i.freeze(); close(frozen) })
		}
	})
	return frozen
}

// hearing keeps what goes through it.
type hearing struct {
	http.ResponseWriter
	bytes.Buffer
}

func (h *hearing) Write(p []byte) (int, error) {
	_, _ = h.ResponseWriter.Write(p) // who asked may have gone
	return h.Buffer.Write(p)
}

func (i *ice) answered(place, text string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.answers == nil {
		i.answers = map[string]string{}
	}
	i.answers[place] = text
}

// said is the platform's last answer at a place, "" for none.
func (i *ice) said(place string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.answers[place]
}

// places tell requests to the platform by what is in them.
var places = []struct{ name, text string }{
	{"launch", `/run.sh`}, {"follow", "sandpiper-follow"}, {"look", "sandpiper-look"}, {"stop", "sandpiper-stop"}, {"preflight", "preflight: "},
}

func placeOf(r *http.Request, body []byte) string {
	if strings.Contains(r.URL.Path, "/files/") {
		return "upload"
	}
	for _, p := range places {
		if bytes.Contains(body, []byte(p.text)) {
			return p.name
		}
	}
	return r.Method + " " + r.URL.Path
}

func (i *ice) watch(before func(point string)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.before = before
}

// line is a way to the platform that freezes. Its requests end with the worker's only on the worker's side: one that has
// left arrives.
func (i *ice) line(t testing.TB, to string) string {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	proxy.ModifyResponse = func(*http.Response) error { i.pass(); return nil }
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		place := placeOf(r, body)
		i.at(place)
		if i.mutate != nil {
			body = i.mutate(body)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		said := &hearing{ResponseWriter: w}
		defer func() { i.answered(place, said.String()) }()
		proxy.ServeHTTP(said, r.WithContext(context.WithoutCancel(r.Context())))
	}))
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
		if tr, ok := http.DefaultTransport.(*http.Transport); ok {
			tr.CloseIdleConnections()
		}
	})
	return web.URL
}

// frozen is a store as a worker sees it that may be frozen.
type frozen struct {
	*store.Store
	ice *ice
}

func (f frozen) Claim(ctx context.Context, q store.Claim) (store.Claimed, error) {
	f.ice.at("Claim")
	defer f.ice.pass()
	return f.Store.Claim(ctx, q)
}

func (f frozen) Beat(ctx context.Context, worker string, held []job.Attempt, lease time.Duration) (store.Beat, error) {
	f.ice.at("Beat")
	defer f.ice.pass()
	return f.Store.Beat(ctx, worker, held, lease)
}

func (f frozen) Append(ctx context.Context, a job.Attempt, b store.Batch) (int64, error) {
	f.ice.at("Append")
	defer f.ice.pass()
	return f.Store.Append(ctx, a, b)
}

func (f frozen) Intend(ctx context.Context, a job.Attempt, r job.Run, events ...job.Event) error {
	f.ice.at("Intend")
	defer f.ice.pass()
	return f.Store.Intend(ctx, a, r, events...)
}

func (f frozen) MarkLaunched(ctx context.Context, a job.Attempt, runID string) error {
	f.ice.at("MarkLaunched")
	defer f.ice.pass()
	return f.Store.MarkLaunched(ctx, a, runID)
}

func (f frozen) Requeue(ctx context.Context, a job.Attempt, afterSeq int64, q store.Requeue) error {
	f.ice.at("Requeue")
	defer f.ice.pass()
	return f.Store.Requeue(ctx, a, afterSeq, q)
}

func (f frozen) Finish(ctx context.Context, a job.Attempt, o job.Outcome, afterSeq int64) error {
	f.ice.at("Finish")
	defer f.ice.pass()
	return f.Store.Finish(ctx, a, o, afterSeq)
}

func (f frozen) Lapsed(ctx context.Context, limit int) ([]string, error) {
	f.ice.pass()
	defer f.ice.pass()
	return f.Store.Lapsed(ctx, limit)
}

func (f frozen) Released(ctx context.Context, limit int) ([]string, error) {
	f.ice.pass()
	defer f.ice.pass()
	return f.Store.Released(ctx, limit)
}

func (f frozen) HoldTurn(ctx context.Context, turn, holder string, d time.Duration) (bool, error) {
	f.ice.pass()
	defer f.ice.pass()
	return f.Store.HoldTurn(ctx, turn, holder, d)
}
