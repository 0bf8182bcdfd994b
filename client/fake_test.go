package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sandpiper/client"
)

// fakeAPI is an API with one job, "j", whose events are a table. It behaves as its test wants: sockets holds what
// each connection does, the last one again for all that follow.
type fakeAPI struct {
	*httptest.Server
	table   []client.Event
	state   client.State
	page    int   // events in a page; 0 means all
	gone    int64 // events up to this seq were deleted for their age
	sockets []func(*socket)

	mu     sync.Mutex
	afters []int64 // `after` of each connection
	wg     sync.WaitGroup
}

// socket is one connection, as its misbehaviour sees it.
type socket struct {
	t     testing.TB
	ctx   context.Context
	conn  *websocket.Conn
	after int64
	api   *fakeAPI
}

func newFake(t *testing.T, table []client.Event, sockets ...func(*socket)) *fakeAPI {
	t.Helper()
	f := &fakeAPI{table: table, state: client.Running, sockets: sockets}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) { f.serveSocket(t, w, r) })
	mux.HandleFunc("GET /api/jobs/{id}", f.serveJob)
	mux.HandleFunc("GET /api/jobs/{id}/events", f.serveEvents)
	f.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
		f.wg.Wait() // hijacked connections are not the server's
	})
	return f
}

func (f *fakeAPI) client() *client.Client {
	return client.New(f.URL, client.Options{HTTP: f.Client(), Pause: time.Millisecond, Quiet: 20 * time.Second})
}

// impatient distrusts a silent socket soon.
func (f *fakeAPI) impatient() *client.Client {
	return client.New(f.URL, client.Options{HTTP: f.Client(), Pause: time.Millisecond, Quiet: 50 * time.Millisecond})
}

func (f *fakeAPI) serveSocket(t *testing.T, w http.ResponseWriter, r *http.Request) {
	f.wg.Add(1)
	defer f.wg.Done()
	after, err := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	if err != nil || r.URL.Query().Get("jobId") != "j" {
		http.Error(w, "after and jobId, please", http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	do := f.sockets[min(len(f.afters), len(f.sockets)-1)]
	f.afters = append(f.afters, after)
	f.mu.Unlock()
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		t.Errorf("accept: %v", err)
		return
	}
	defer conn.CloseNow()
	ctx, stop := context.WithTimeout(r.Context(), 20*time.Second) // of a hijacked request: only the limit ends it
	defer stop()
	do(&socket{t: t, ctx: ctx, conn: conn, after: after, api: f})
}

func (f *fakeAPI) serveJob(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("id") != "j" {
		refuse(w, http.StatusNotFound, "JOB_NOT_FOUND")
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"jobId": "j", "state": f.state})
}

func (f *fakeAPI) serveEvents(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	items := []client.Event{}
	for _, e := range f.table {
		if e.Seq > max(after, f.gone) && (f.page == 0 || len(items) < f.page) {
			items = append(items, e)
		}
	}
	answer := map[string]any{"items": items, "next": nil}
	if n := len(items); n > 0 && items[n-1].Seq < f.table[len(f.table)-1].Seq {
		answer["next"] = items[n-1].Seq
	}
	if after < f.gone {
		answer["gone"] = f.gone
	}
	json.NewEncoder(w).Encode(answer)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":"about:blank","title":"No.","status":%d,"code":%q}`, status, code)
}

// table makes n events: state, logs, and done.
func table(n int) []client.Event {
	events := make([]client.Event, n)
	for i := range events {
		e := client.Event{Type: client.EventLog, JobID: "j", Seq: int64(i + 1), TS: 1, Level: "info", Data: fmt.Sprint("line ", i+1)}
		if i == n-1 {
			e.Type, e.Level, e.Data, e.ExitCode = client.EventDone, "", "", 3
		}
		events[i] = e
	}
	return events
}

// What a connection may do, in order.

func (s *socket) send(seqs ...int64) {
	for _, seq := range seqs {
		raw, err := json.Marshal(s.api.table[seq-1])
		if err != nil {
			s.t.Error(err)
		}
		s.raw(string(raw))
	}
}

func (s *socket) raw(text string) {
	_ = s.conn.Write(s.ctx, websocket.MessageText, []byte(text)) // the client may be gone
}

// rest sends everything after the client's position, as it should be.
func (s *socket) rest() {
	for _, e := range s.api.table[s.after:] {
		s.send(e.Seq)
	}
}

// idle reads until the client closes, and so answers its pings.
func (s *socket) idle() { _, _, _ = s.conn.Read(s.ctx) }

// behave is a well-behaved connection.
func behave(s *socket) { s.rest(); s.idle() }

// collect follows job j to its end.
func collect(t *testing.T, c *client.Client, after int64) (got []client.Event, last error) {
	t.Helper()
	for e, err := range c.Follow(t.Context(), "j", after) {
		if last != nil {
			t.Errorf("after the error %v came %v, %v", last, e, err)
		}
		if err != nil {
			last = err
			continue
		}
		got = append(got, e)
	}
	return got, last
}

// same fails unless got is exactly the table after a seq.
func same(t *testing.T, got, want []client.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %s\nwant %s", seqs(got), seqs(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("event %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

func seqs(events []client.Event) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprint(&b, e.Seq, " ")
	}
	return b.String()
}
