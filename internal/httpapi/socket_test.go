package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sandpiper/internal/auth"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/relay"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// handshakeStatus asks for a WebSocket and says what came back.
func (h *house) handshakeStatus(path string) int {
	h.t.Helper()
	conn, res, err := websocket.Dial(h.t.Context(), "ws"+strings.TrimPrefix(h.url, "http")+path, nil)
	if err == nil {
		conn.CloseNow()
	}
	if res == nil {
		h.t.Fatal(err)
	}
	return res.StatusCode
}

func TestASocketSeesWhatIsSubmittedAfterItOpened(t *testing.T) {
	h := newHouse(t)
	before := h.submit("ann")
	conn := h.dial("?userId=ann")
	h.submit("bob")
	id := h.submit("ann")
	if m := next(t, conn); m.JobID != id || m.Seq != 1 || m.Type != "state" || m.State != "queued" {
		t.Errorf("first message %+v, want seq 1 of %s", m, id)
	}
	h.finish(before)
	seqs := map[string]int64{id: 1, before: 1}
	for done := 0; done < 2; { // the socket stays open after the first done
		m := next(t, conn)
		if seqs[m.JobID]++; m.Seq != seqs[m.JobID] || m.TS == 0 || m.Cursor == "" {
			t.Fatalf("%+v, want seq %d", m, seqs[m.JobID])
		}
		if m.Type == "done" {
			if done++; done == 1 {
				h.finish(id)
			}
		}
	}
}

func TestASocketResumes(t *testing.T) {
	h := newHouse(t)
	c := storetest.Claimed(t, h.store)
	last := h.write(c, c.Job.LastSeq, 5)
	h.submit("bob")
	other := h.submit("ann")

	conn := h.dial(fmt.Sprintf("?jobId=%s&after=%d", c.Job.ID, last-2))
	if m := next(t, conn); m.Seq != last-1 {
		t.Errorf("after a seq: %+v, want seq %d", m, last-1)
	}
	m := next(t, conn)
	for _, query := range []string{"?userId=ann&after=" + m.Cursor, "?userId=ann&jobId=" + other + "&after=0"} {
		if got := next(t, h.dial(query)); got.JobID != other || got.Seq != 1 {
			t.Errorf("%s: %+v, want seq 1 of %s", query, got, other)
		}
	}
	from := next(t, h.dial("?jobId="+c.Job.ID+"&after=0"))
	if from.Seq != 1 || from.SandboxID != "" {
		t.Errorf("after 0: %+v, want seq 1", from)
	}
}

func TestTheOperatorSeesEveryone(t *testing.T) {
	h := newHouse(t)
	conn := h.dial("")
	for _, user := range []string{"ann", "bob"} {
		if id := h.submit(user); next(t, conn).JobID != id {
			t.Errorf("the operator misses %s of %s", id, user)
		}
	}
}

func TestWhatAClientSaysIsPassedOver(t *testing.T) {
	h := newHouse(t)
	conn := h.dial("?userId=ann")
	for _, words := range []string{"ping", "", `{"type":"subscribe"}`} {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(words)); err != nil {
			t.Fatal(err)
		}
	}
	if id := h.submit("ann"); next(t, conn).JobID != id {
		t.Errorf("misses %s", id)
	}
	if err := conn.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestASocketIsClosedWithTheNextStepWhenTheServerStops(t *testing.T) {
	h := newHouse(t)
	conn := h.dial("?userId=ann")
	h.submit("ann")
	next(t, conn)
	h.dial("?userId=ann") // never answers the close: must not hold up the end for ever
	closed := make(chan error, 1)
	go func() {
		_, _, err := conn.Read(t.Context())
		closed <- err
	}()
	if err := h.stop(); err != nil {
		t.Error(err)
	}
	var end websocket.CloseError
	if err := <-closed; !asClose(err, &end) || end.Code != httpapi.CloseDraining.Code || end.Reason != httpapi.CloseDraining.Reason {
		t.Errorf("closed with %v, want %v", err, httpapi.CloseDraining)
	}
	if _, err := net.DialTimeout("tcp", h.addr, time.Second); err == nil {
		t.Error("the server still takes connections")
	}
}

// A client that reads nothing has an hour for each message here. Without its own end of patience with those who stay,
// the server would stop after that hour, and the test binary's time would be over before.
func TestAMessageThatNobodyReadsDoesNotHoldUpTheEnd(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.WriteWait = time.Hour })
	c := storetest.Claimed(t, h.store)
	h.rawSocket("/ws?userId=ann")
	good := h.dial("?userId=ann")
	after := c.Job.LastSeq
	for range 8 { // more than the kernel takes for a client that does not read
		after = h.writeBig(c, after, 16)
		for range 16 {
			next(t, good)
		}
	}
	if err := h.stop(); err != nil {
		t.Error(err)
	}
}

func asClose(err error, end *websocket.CloseError) bool {
	if end.Code = websocket.CloseStatus(err); end.Code < 0 {
		return false
	}
	_, reason, _ := strings.Cut(err.Error(), `reason = "`)
	end.Reason, _, _ = strings.Cut(reason, `"`)
	return true
}

func TestAClientThatDoesNotAnswerPingsIsClosed(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) {
		o.Ping, o.WriteWait = 10*time.Millisecond, 50*time.Millisecond
	})
	raw := h.rawSocket("/ws?userId=ann")
	raw.SetReadDeadline(time.Now().Add(2 * time.Minute))
	frames := make([]byte, 0, 1024)
	buf := make([]byte, 1024)
	for { // a client that reads, and never says a word
		n, err := raw.Read(buf)
		if frames = append(frames, buf[:n]...); err != nil {
			break
		}
	}
	if want := httpapi.CloseSilent; !strings.Contains(string(frames), string([]byte{byte(want.Code >> 8), byte(want.Code & 0xff)})+want.Reason) {
		t.Errorf("closed without %v: %q", want, frames)
	}
}

func TestAClientThatDoesNotReadIsCutOffAndHoldsUpNobody(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.WriteWait = 500 * time.Millisecond })
	c := storetest.Claimed(t, h.store)
	stuck := h.rawSocket("/ws?userId=ann")
	good := h.dial("?userId=ann")
	after := c.Job.LastSeq
	for gone := false; !gone; { // it does not read, so it learns by writing that it was cut off
		after = h.writeBig(c, after, 16)
		for range 16 {
			next(t, good)
		}
		_, err := stuck.Write([]byte{0x8a, 0x80, 0, 0, 0, 0}) // a pong that nobody asked for
		gone = err != nil
	}
}

// rawSocket opens a WebSocket by hand and reads nothing after the handshake.
func (h *house) rawSocket(path string) net.Conn {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, h.addr)
	head := make([]byte, 0, 512)
	for !strings.HasSuffix(string(head), "\r\n\r\n") {
		b := make([]byte, 1)
		if _, err := conn.Read(b); err != nil {
			h.t.Fatal(err)
		}
		head = append(head, b...)
	}
	if !strings.HasPrefix(string(head), "HTTP/1.1 101 ") {
		h.t.Fatalf("handshake: %q", head)
	}
	return conn
}

// unreadable is a store whose events cannot be read.
type unreadable struct{ *store.Store }

func (unreadable) Head(context.Context) (int64, error) { return 0, nil }

func (unreadable) Stream(context.Context, auth.Caller, store.Scope, int64, int) ([]job.Event, bool, error) {
	return nil, false, errors.New("disk I/O error")
}

// closing reads until the server closes, and returns how it did and how many messages came before.
func closing(t testing.TB, conn *websocket.Conn, pause time.Duration) (end websocket.CloseError, messages int64) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute) // a socket that stays open fails the test, and soon
	defer stop()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for ; ; messages++ {
		if _, _, err := conn.Read(ctx); asClose(err, &end) {
			return end, messages
		} else if err != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
}

func TestASocketWhoseEventsCannotBeReadIsClosed(t *testing.T) {
	h := newHouse(t, func(d *httpapi.Deps, _ *httpapi.Options) { d.Relay = relay.New(unreadable{}, nil, relay.Options{}) })
	if end, _ := closing(t, h.dial(""), time.Millisecond); end.Code != httpapi.CloseTrouble.Code || end.Reason != httpapi.CloseTrouble.Reason {
		t.Errorf("closed with %v, want %v", end, httpapi.CloseTrouble)
	}
	if log := h.logs.String(); strings.Count(log, "disk I/O error") != 1 {
		t.Errorf("want the reason in the log, once:\n%s", log)
	}
}

func TestAClientThatReadsTooSlowlyIsToldToComeBack(t *testing.T) {
	// A message of this reader takes some 10 ms, far below the limit of one write; a batch takes many times the limit.
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.WriteWait = 100 * time.Millisecond })
	c := storetest.Claimed(t, h.store)
	after := c.Job.LastSeq
	for range 30 {
		after = h.writeBig(c, after, 10)
	}
	query := "?jobId=" + c.Job.ID + "&after="
	end, seen := closing(t, h.dial(fmt.Sprint(query, c.Job.LastSeq)), 10*time.Millisecond)
	if seen += c.Job.LastSeq; end.Code != httpapi.CloseSlow.Code || end.Reason != httpapi.CloseSlow.Reason || seen >= after {
		t.Errorf("closed with %v after %d of %d messages, want %v", end, seen, after, httpapi.CloseSlow)
	}
	if m := next(t, h.dial(fmt.Sprint(query, seen))); m.Seq != seen+1 {
		t.Errorf("came back to seq %d, want %d", m.Seq, seen+1)
	}
}

func TestManySocketsComeAndGo(t *testing.T) {
	h := newHouse(t)
	for range 50 {
		ctx, stop := context.WithCancel(t.Context())
		conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(h.url, "http")+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		stop() // some are cut before they read, at once
		conn.CloseNow()
	}
	if err := h.stop(); err != nil { // waits for every socket
		t.Error(err)
	}
}

func TestASocketSpeaksToWebSocketClientsOnly(t *testing.T) {
	h := newHouse(t)
	for name, drop := range map[string]string{"no upgrade": "Upgrade", "no connection": "Connection", "no key": "Sec-WebSocket-Key", "no version": "Sec-WebSocket-Version"} {
		a := h.get("/ws", handshake(drop, "x")...)
		if a.status != http.StatusUpgradeRequired {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}
