package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"sandpiper/internal/auth"
	"sandpiper/internal/bus"
	"sandpiper/internal/dispatch"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/relay"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is the API over a real store, served on a port of its own.
type house struct {
	t      testing.TB
	store  *store.Store
	server *httpapi.Server
	url    string // http://127.0.0.1:port
	addr   string
	http   *http.Client
	logs   *logs
	stop   func() error // ends the server as a signal would, and waits for it
}

// lost is a queue that loses every hint: the API must not depend on it.
type lost struct{}

func (lost) Push(context.Context, job.Hint) error       { return errors.New("away") }
func (lost) Shallow(context.Context, job.Priority) bool { return true }

// newHouse opens a house; change adapts its server before it starts.
func newHouse(t testing.TB, change ...func(*httpapi.Deps, *httpapi.Options)) *house {
	t.Helper()
	h := &house{t: t, store: storetest.SQLite(t), logs: &logs{}}
	news := bus.New(nil, bus.Options{}) // without Run it tells this process only
	h.store.SetNews(news)
	live := relay.New(h.store, news, relay.Options{})
	d := httpapi.Deps{
		Jobs:    dispatch.New(h.store, lost{}, dispatch.Options{}),
		Batches: dispatch.NewUploader(h.store), Reads: h.store, Sandboxes: h.store, Lanes: h.store, Answers: h.store, Relay: live,
	}
	o := httpapi.Options{Log: slog.New(slog.NewTextHandler(h.logs, nil))}
	for _, c := range change {
		c(&d, &o)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr, h.url = ln.Addr().String(), "http://"+ln.Addr().String()
	running(t, live.Run)
	h.server = httpapi.New(d, o)
	h.stop = running(t, func(ctx context.Context) error { return h.server.Run(ctx, ln) })
	transport := &http.Transport{}
	transport.DialContext = smallBuffer
	h.http = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	return h
}

// running runs a role until the test ends, or until stop is called.
func running(t testing.TB, run func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("a role ended with %v", err)
		}
	})
	return stop
}

// logs keeps what was logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// request makes a request without a body; headers are pairs.
func (h *house) request(path string, headers ...string) *http.Request {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.url+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return req
}

// raw sends a request as it stands, Host and the empty line besides, over a connection that nobody reads from.
func (h *house) raw(head string) net.Conn {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, head+"Host: "+h.addr+"\r\n\r\n"); err != nil {
		h.t.Fatal(err)
	}
	return conn
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// do sends a request; headers are pairs.
func (h *house) do(method, path, body string, headers ...string) answer {
	h.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	ctx, stop := context.WithTimeout(h.t.Context(), 2*time.Minute) // what should be refused may be a stream without end
	defer stop()
	req, err := http.NewRequestWithContext(ctx, method, h.url+path, r)
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	res, err := h.http.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, raw}
}

func (h *house) get(path string, headers ...string) answer {
	h.t.Helper()
	return h.do(http.MethodGet, path, "", headers...)
}

func (h *house) post(path, body string, headers ...string) answer {
	h.t.Helper()
	return h.do(http.MethodPost, path, body, headers...)
}

// into decodes an answer.
func into[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("answer %d %q: %v", a.status, a.body, err)
	}
	return v
}

// problem is a problem document as a client reads it.
type problem struct {
	Type, Title, Detail, Code, RequestID string
	Status                               int
	Errors                               []struct{ Pointer, Detail, Code string }
}

// wantProblem checks that an answer is a problem document and returns it.
func wantProblem(t testing.TB, a answer, status int, code job.Code) problem {
	t.Helper()
	p := into[problem](t, a)
	if a.status != status || p.Status != status || p.Code != string(code) {
		t.Errorf("answered %d %s, want %d %s: %s", a.status, p.Code, status, code, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("a problem came as %q", got)
	}
	if p.Type == "" || p.Title == "" || p.Detail == "" || p.RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("an incomplete problem: %s", a.body)
	}
	return p
}

// submit submits a prompt of a user and returns the job's id.
func (h *house) submit(userID string) string {
	h.t.Helper()
	a := h.post("/api/knowledge/process", `{"userId":"`+userID+`","input":"What is the square root of 16?"}`)
	v := into[struct {
		JobID    string `json:"jobId"`
		Accepted bool   `json:"accepted"`
	}](h.t, a)
	if a.status != http.StatusAccepted || !v.Accepted || v.JobID == "" {
		h.t.Fatalf("submit: %d %s", a.status, a.body)
	}
	return v.JobID
}

// finish claims a queued job and answers it.
func (h *house) finish(id string) {
	h.t.Helper()
	c := storetest.Claim(h.t, h.store, id)
	storetest.Ready(h.t, h.store, c.Sandbox.ID)
	if err := h.store.Finish(h.t.Context(), c.Attempt, storetest.Answer("4"), c.Job.LastSeq); err != nil {
		h.t.Fatal(err)
	}
}

// stored counts what callers left in SQL.
func (h *house) stored() (jobs, sandboxes int) {
	h.t.Helper()
	all, _, err := h.store.Jobs(h.t.Context(), auth.LocalOperator(), store.JobFilter{Limit: 200})
	if err != nil {
		h.t.Fatal(err)
	}
	boxes, err := h.store.Sandboxes(h.t.Context(), auth.LocalOperator(), 200)
	if err != nil {
		h.t.Fatal(err)
	}
	return len(all), len(boxes)
}

// smallBuffer connects a client whose kernel reads little ahead of it: some would take 32 MiB, and no reader would be slow.
func smallBuffer(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil {
		err = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	}
	return conn, err
}

// dial opens a WebSocket that is cut when the test ends.
func (h *house) dial(query string) *websocket.Conn {
	h.t.Helper()
	conn, res, err := websocket.Dial(h.t.Context(), "ws"+strings.TrimPrefix(h.url, "http")+"/ws"+query, &websocket.DialOptions{HTTPClient: h.http})
	if err != nil {
		h.t.Fatalf("dial %s: %v (%v)", query, err, res)
	}
	conn.SetReadLimit(32 << 20)
	h.t.Cleanup(func() { conn.CloseNow() })
	return conn
}

// message is an event as a client reads it.
type message struct {
	Type, SandboxID, JobID, Cursor, Data, State string
	TS, Seq                                     int64
	ExitCode                                    *int
}

// next reads one message.
func next(t testing.TB, conn *websocket.Conn) message {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	_, raw, err := conn.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var m message
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatalf("message %q: %v", raw, err)
	}
	return m
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("never: %s", what)
		}
	}
}
