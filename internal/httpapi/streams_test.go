package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sandpiper/internal/auth"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// limited is a house that lets a caller have three streams, and everybody five. looks counts what waiting requests do.
func limited(t *testing.T) (h *house, looks *atomic.Int64) {
	looks = new(atomic.Int64)
	return newHouse(t, func(d *httpapi.Deps, o *httpapi.Options) {
		d.Reads = counted{d.Reads, looks}
		o.MaxStreamsPerCaller, o.MaxStreams, o.CreateWait = 3, 5, time.Millisecond
	}), looks
}

// refuses asks for one stream more of every kind.
func (h *house) refuses(userID, id string) {
	h.t.Helper()
	_, before := h.stored()
	who := "?userId=" + userID
	for name, a := range map[string]answer{
		"a socket":              h.get("/ws"+who, handshake()...),
		"an event stream":       h.get("/api/jobs/"+id+"/events"+who, "Accept", "text/event-stream"),
		"a waiting request":     h.get("/api/jobs/" + id + who + "&wait=1s"),
		"a sandbox's creation":  h.post("/api/sandbox/create", `{"userId":"`+userID+`"}`),
		"an event stream again": h.get("/api/jobs/"+id+"/events"+who, "Accept", "text/event-stream"),
	} {
		h.t.Log(name)
		wantProblem(h.t, a, http.StatusTooManyRequests, job.TooManyStreams)
		if a.header.Get("Retry-After") != "5" {
			h.t.Errorf("Retry-After %q, want 5", a.header.Get("Retry-After"))
		}
	}
	if _, boxes := h.stored(); boxes != before {
		h.t.Errorf("a refused creation left a sandbox")
	}
	for name, path := range map[string]string{"a page": "/api/jobs/" + id + "/events", "a job": "/api/jobs/" + id, "a list": "/api/jobs"} {
		if a := h.get(path + who); a.status != http.StatusOK {
			h.t.Errorf("%s: %d %s, want 200: it does not stay open", name, a.status, a.body)
		}
	}
}

func TestACallerHasALimitOfStreamsOfAllKinds(t *testing.T) {
	h, looks := limited(t)
	id := h.submit("ann")
	first := h.dial("?userId=ann")
	_, s := h.sse("/api/jobs/" + id + "/events?userId=ann")
	frame(t, s)
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan struct{})
	go func() {
		defer close(left)
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, h.url+"/api/jobs/"+id+"?userId=ann&wait=60s", nil)
		if res, err := h.http.Do(req); err == nil {
			res.Body.Close()
		}
	}()
	eventually(t, "the third is open: it looks at the job", func() bool { return looks.Load() > 0 })
	h.refuses("ann", id)
	bobs := h.dial("?userId=bob") // has room of his own

	leave() // the one that waits
	<-left
	free := func(userID string) bool {
		return h.handshakeStatus("/ws?userId="+userID) == http.StatusSwitchingProtocols
	}
	eventually(t, "its place is free again", func() bool { return free("ann") })
	first.CloseNow()
	bobs.CloseNow()
	eventually(t, "the place of a socket is free again", func() bool { return free("bob") && free("ann") })
}

func TestTheProcessHasALimitOfStreams(t *testing.T) {
	h, _ := limited(t)
	id := h.submit("eve")
	for _, user := range []string{"ann", "ann", "ann", "bob"} {
		h.dial("?userId=" + user)
	}
	last := h.dial("") // the operator is a caller too
	h.refuses("eve", id)
	last.CloseNow()
	eventually(t, "a place is free again", func() bool {
		return h.handshakeStatus("/ws?userId=eve") == http.StatusSwitchingProtocols
	})
}

// looked counts how a waiting request looks at its job.
type looked struct {
	httpapi.Reads
	whole, progress *atomic.Int64
}

func (r looked) Job(ctx context.Context, c auth.Caller, id string) (job.Job, error) {
	r.whole.Add(1)
	return r.Reads.Job(ctx, c, id)
}

func (r looked) Progress(ctx context.Context, c auth.Caller, id string) (store.Progress, error) {
	r.progress.Add(1)
	return r.Reads.Progress(ctx, c, id)
}

func TestAWaitingRequestReadsItsJobOnce(t *testing.T) {
	var whole, progress atomic.Int64
	h := newHouse(t, func(d *httpapi.Deps, o *httpapi.Options) {
		d.Reads, o.Poll = looked{d.Reads, &whole, &progress}, 5*time.Millisecond
	})
	id := h.submit("ann")
	got := make(chan jobView, 1)
	go func() { got <- into[jobView](t, h.get("/api/jobs/"+id+"?wait=60s")) }()
	eventually(t, "it looks again and again", func() bool { return progress.Load() > 5 })
	h.finish(id)
	if j := <-got; j.State != "succeeded" || whole.Load() != 1 {
		t.Errorf("%s after %d reads of the whole job, want 1", j.State, whole.Load())
	}
}

func TestAPageEndsWhereItHoldsEnough(t *testing.T) {
	h := newHouse(t)
	c := storetest.Claimed(t, h.store)
	last := h.writeBig(c, c.Job.LastSeq, 100) // 6.4 MB
	type list struct {
		Items []message
		Next  *int64
	}
	var pages []int
	seen := int64(0)
	for after := int64(0); ; after = seen {
		a := h.get("/api/jobs/" + c.Job.ID + "/events?limit=1000&after=" + itoa(after))
		l := into[list](t, a)
		if len(a.body) > store.MaxRead+256<<10 {
			t.Errorf("a page of %d bytes", len(a.body))
		}
		for _, e := range l.Items {
			if seen++; e.Seq != seen {
				t.Fatalf("seq %d, want %d", e.Seq, seen)
			}
		}
		pages = append(pages, len(l.Items))
		if l.Next == nil {
			break
		}
		if *l.Next != seen {
			t.Fatalf("next is %d after seq %d", *l.Next, seen)
		}
	}
	if seen != last || len(pages) != 2 {
		t.Errorf("%d events on pages of %v, want %d on two", seen, pages, last)
	}
}

func TestAStreamThatIsEndedSaysWhyAndResumes(t *testing.T) {
	h := newHouse(t)
	c := storetest.Claimed(t, h.store)
	_, s := h.sse("/api/jobs/" + c.Job.ID + "/events")
	frame(t, s)
	if err := h.stop(); err != nil {
		t.Error(err)
	}
	var rest []string
	for s.Scan() {
		rest = append(rest, s.Text())
	}
	if text := strings.Join(rest, "\n"); s.Err() != nil || !strings.Contains(text, ": "+httpapi.CloseDraining.Error()) {
		t.Errorf("ended with %q (%v), want %v", text, s.Err(), httpapi.CloseDraining)
	}
}

func TestAStreamThatIsReadTooSlowlyIsToldToComeBack(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.WriteWait = 50 * time.Millisecond })
	c := storetest.Claimed(t, h.store)
	last := c.Job.LastSeq
	for range 30 {
		last = h.writeBig(c, last, 10)
	}
	path := "/api/jobs/" + c.Job.ID + "/events"
	res, err := h.http.Do(h.request(path, "Accept", "text/event-stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var text strings.Builder
	for buf := make([]byte, 64<<10); ; <-tick.C {
		n, err := res.Body.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			break
		}
	}
	if !strings.Contains(text.String(), "\n: "+httpapi.CloseSlow.Error()+"\n") {
		t.Fatalf("not told to come back; got %d bytes", text.Len())
	}
	seen := strings.Count(text.String(), "\ndata: ")
	if seen == 0 || int64(seen) >= last {
		t.Fatalf("told after %d of %d events", seen, last)
	}
	_, s := h.sse(path, "Last-Event-ID", itoa(int64(seen)))
	s.Buffer(nil, 1<<20)
	if id, _, _ := frame(t, s); id != itoa(int64(seen)+1) {
		t.Errorf("came back to %s, want %d", id, seen+1)
	}
}

func TestAStreamWhoseClientDoesNotReadIsCutOff(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) {
		o.WriteWait, o.MaxStreamsPerCaller = 300*time.Millisecond, 1
	})
	c := storetest.Claimed(t, h.store)
	stuck := h.raw("GET /api/jobs/" + c.Job.ID + "/events?userId=ann HTTP/1.1\r\nAccept: text/event-stream\r\n")
	status := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(stuck, status); err != nil || string(status) != "HTTP/1.1 200" {
		t.Fatalf("%q, %v", status, err)
	}
	last := h.writeBig(c, c.Job.LastSeq, 200) // more than any socket's buffer
	eventually(t, "its place is free", func() bool {
		return h.handshakeStatus("/ws?userId=ann") == http.StatusSwitchingProtocols
	})
	conn := h.dialWhenFree("?jobId=" + c.Job.ID + "&userId=ann&after=" + itoa(last-1))
	if m := next(t, conn); m.Seq != last {
		t.Errorf("%+v, want seq %d", m, last)
	}
}

// dialWhenFree opens a socket as soon as its caller may have one more.
func (h *house) dialWhenFree(query string) (conn *websocket.Conn) {
	h.t.Helper()
	eventually(h.t, "a socket may be opened", func() bool {
		c, _, err := websocket.Dial(h.t.Context(), "ws"+strings.TrimPrefix(h.url, "http")+"/ws"+query, nil)
		conn = c
		return err == nil
	})
	conn.SetReadLimit(32 << 20)
	h.t.Cleanup(func() { conn.CloseNow() })
	return conn
}
