package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// message is an event as a client gets it.
type message struct {
	Type, JobID, SandboxID, Cursor string
	Seq, TS                        int64
	rest                           map[string]any // what depends on the type
}

func read(raw []byte) (m message, err error) {
	if err = json.Unmarshal(raw, &m); err == nil {
		err = json.Unmarshal(raw, &m.rest)
	}
	for _, common := range []string{"type", "jobId", "sandboxId", "cursor", "seq", "ts"} {
		delete(m.rest, common)
	}
	return m, err
}

// watcher is a client that loses its connection again and again, and comes back with its last position. One of a user's
// stream uses WebSockets; one of single jobs uses server-sent events.
type watcher struct {
	user   string
	fronts []string
	ledger *ledger
	dice   *rand.Rand
	single bool // follows one job after another
	most   int  // messages that it reads before it drops the connection
	stays  bool // never drops it, and waits however long nothing comes: what is not sent to it is not made good

	mu     sync.Mutex
	got    []message
	jobs   []string // whose events it has followed to their end, one after another
	faults []string // what it should not have met
}

func newWatcher(f *fleet, seed uint64, n int) *watcher {
	w := &watcher{user: fmt.Sprintf("user%02d", n), most: 120, ledger: f.ledger, dice: rand.New(rand.NewPCG(seed, uint64(100+n)))}
	for _, front := range f.fronts {
		w.fronts = append(w.fronts, front.url())
	}
	return w
}

func (w *watcher) front() string { return w.fronts[w.dice.IntN(len(w.fronts))] }

func (w *watcher) keep(m message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, m)
}

func (w *watcher) collected() []message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]message(nil), w.got...)
}

// followed are the jobs whose events it has followed to their end.
func (w *watcher) followed() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.jobs...)
}

func (w *watcher) complaints() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.faults...)
}

func (w *watcher) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// stream follows all of the user's events until ctx ends. It calls open once its first connection is.
func (w *watcher) stream(ctx context.Context, open func()) {
	for ctx.Err() == nil {
		w.once(ctx, open)
		rest(time.Duration(w.dice.IntN(400))*time.Millisecond, ctx.Done())
	}
}

// once is one connection. Until its first event a client has no position, so it does not drop it on purpose before.
func (w *watcher) once(ctx context.Context, open func()) {
	url := strings.Replace(w.front(), "http", "ws", 1) + "/ws?userId=" + w.user
	got := w.collected()
	if len(got) > 0 {
		url += "&after=" + got[len(got)-1].Cursor
	}
	dialing, cancel := context.WithTimeout(ctx, 10*time.Second)
	conn, _, err := websocket.Dial(dialing, url, nil)
	cancel()
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(-1)
	open()
	patience := 15 * time.Second // a connection whose other end hangs says nothing: then it comes again
	if w.stays {
		patience = time.Hour
	}
	for left := 1 + w.dice.IntN(w.most); left > 0 || w.stays; left-- {
		reading, cancel := context.WithTimeout(ctx, patience)
		_, raw, err := conn.Read(reading)
		cancel()
		if err != nil {
			return
		}
		m, err := read(raw)
		if err != nil {
			return // cut in the middle of a frame, which this library passes on as a message
		}
		w.keep(m)
	}
	w.ledger.hit("client drops its connection")
}

// follow follows one job after another, each from its first event to its last, until there are no more or ctx ends.
func (w *watcher) follow(ctx context.Context, next <-chan string) {
	for {
		select {
		case <-ctx.Done():
			return
		case id, more := <-next:
			if !more {
				return
			}
			if w.job(ctx, id) {
				w.mu.Lock()
				w.jobs = append(w.jobs, id)
				w.mu.Unlock()
			}
		}
	}
}

// job follows one job to its end.
func (w *watcher) job(ctx context.Context, id string) bool {
	for seq := int64(0); ctx.Err() == nil; {
		done := false
		if seq, done = w.piece(ctx, id, seq); done {
			return true
		}
		rest(time.Duration(w.dice.IntN(300))*time.Millisecond, ctx.Done())
	}
	return false
}

// piece is one connection of server-sent events, from behind seq.
func (w *watcher) piece(ctx context.Context, id string, seq int64) (int64, bool) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, w.front()+"/api/jobs/"+id+"/events?userId="+w.user, nil)
	if err != nil {
		panic(err)
	}
	q.Header.Set("Accept", "text/event-stream")
	if seq > 0 {
		q.Header.Set("Last-Event-ID", fmt.Sprint(seq))
	}
	resp, err := plain.Do(q)
	if err != nil {
		return seq, false
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return seq, false
	}
	lines := bufio.NewReader(resp.Body)
	for left := 1 + w.dice.IntN(20); left > 0; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return seq, false // an event that is not whole is none
		}
		raw, data := bytes.CutPrefix(line, []byte("data: "))
		if !data {
			continue
		}
		m, err := read(raw)
		if err != nil {
			w.complain("an event that is none: %s", raw)
			return seq, false
		}
		w.keep(m)
		if seq = m.Seq; m.Type == "done" {
			return seq, true
		}
		left--
	}
	w.ledger.hit("client drops its connection")
	return seq, false
}

// differs compares what a client collected with what it should have: the events in this order, each once.
func differs(got []message, want []eventRow) string {
	for i, e := range want {
		if i >= len(got) {
			return fmt.Sprintf("it has %d of %d events; the next one is %s %s/%d", len(got), len(want), e.Type, e.Job, e.Seq)
		}
		m := got[i]
		body := map[string]any{}
		_ = json.Unmarshal(e.Body, &body) // an event without a body differs from one with
		if m.JobID != e.Job || m.Seq != e.Seq || m.Type != e.Type || m.TS != e.At || m.SandboxID != e.Sandbox || !reflect.DeepEqual(m.rest, body) {
			return fmt.Sprintf("event %d is %s %s/%d %v, want %s %s/%d %s", i+1, m.Type, m.JobID, m.Seq, m.rest, e.Type, e.Job, e.Seq, e.Body)
		}
	}
	if len(got) > len(want) {
		return fmt.Sprintf("it has %d events more, the first %s %s/%d", len(got)-len(want), got[len(want)].Type, got[len(want)].JobID, got[len(want)].Seq)
	}
	return ""
}
