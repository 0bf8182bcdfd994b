package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

var (
	seed  = flag.Uint64("seed", 0, "seed of the random history; 0 draws one")
	steps = flag.Int("steps", 60, "steps of the random history; make long takes more")
)

// history is a random history of jobs of one user, and those who watch it.
type history struct {
	h    *house
	rng  *rand.Rand
	open map[string]*store.Claimed // :: running job → its claim, with the newest seq
	due  []string                  // queued jobs
	all  []string
}

// step does one random thing that can happen to a job.
func (y *history) step(t *testing.T) {
	ctx := t.Context()
	switch y.rng.IntN(10) {
	case 0:
		y.all = append(y.all, storetest.Queued(t, y.h.store).ID)
		y.due = append(y.due, y.all[len(y.all)-1])
		return
	case 1, 2:
		if len(y.due) > 0 {
			y.claim(t, y.due[0])
		}
		return
	case 3:
		if len(y.all) == 0 {
			return
		}
		id := y.all[y.rng.IntN(len(y.all))]
		if j, err := y.h.store.Cancel(ctx, storetest.Ann, id); err == nil && j.State.Terminal() {
			y.due = without(y.due, id)
		} else if err != nil && !errors.Is(err, job.ErrFinished) {
			t.Fatal(err)
		}
		return
	}
	if c := y.claimed(); c != nil {
		if err := y.move(ctx, t, c); err != nil {
			t.Fatal(err)
		}
	}
}

// claim claims a queued job, unless its sandbox is busy with another or it was to be cancelled.
func (y *history) claim(t *testing.T, id string) {
	c, err := y.h.store.Claim(t.Context(), storetest.ClaimOf(id))
	if errors.Is(err, job.ErrNotClaimable) {
		if storetest.Read(t, y.h.store, id).State.Terminal() {
			y.due = without(y.due, id)
		}
		y.sweep(t)
		return
	} else if err != nil {
		t.Fatal(err)
	}
	storetest.Ready(t, y.h.store, c.Sandbox.ID)
	y.due, y.open[id] = without(y.due, id), &c
}

// sweep deletes the sandboxes that were given up: a job that is to run in one of them waits for that.
func (y *history) sweep(t *testing.T) {
	boxes, err := y.h.store.SandboxesToDelete(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range boxes {
		if err := y.h.store.SandboxGone(t.Context(), b.ID, "given up"); err != nil {
			t.Fatal(err)
		}
	}
}

// claimed is a running job, or nil.
func (y *history) claimed() *store.Claimed {
	ids := make([]string, 0, len(y.open))
	for _, id := range y.all { // in an order that the seed decides
		if y.open[id] != nil {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return y.open[ids[y.rng.IntN(len(ids))]]
}

// move does one random thing to a running job.
func (y *history) move(ctx context.Context, t *testing.T, c *store.Claimed) (err error) {
	s := y.h.store
	switch y.rng.IntN(12) {
	case 0:
		delete(y.open, c.Job.ID)
		return s.Finish(ctx, c.Attempt, storetest.Answer("4"), c.Job.LastSeq)
	case 1:
		delete(y.open, c.Job.ID)
		y.due = append(y.due, c.Job.ID)
		return s.Requeue(ctx, c.Attempt, c.Job.LastSeq, store.Requeue{Reason: "random", NewSandbox: y.rng.IntN(2) == 0})
	case 2: // another worker takes over, and the first one writes on, in vain
		now := storetest.TakenOver(t, s, c.Attempt)
		if _, err := s.Append(ctx, c.Attempt, store.Batch{AfterSeq: c.Job.LastSeq, Events: []job.Event{job.Log(time.Now(), "stale")}}); !errors.Is(err, job.ErrLost) {
			return fmt.Errorf("a stale append: %w", err)
		}
		y.open[c.Job.ID] = &now
		return nil
	}
	b := store.Batch{AfterSeq: c.Job.LastSeq}
	for range 1 + y.rng.IntN(20) {
		b.Events = append(b.Events, job.Log(time.Now(), strings.Repeat("x", y.rng.IntN(200))))
	}
	if y.rng.IntN(8) == 0 { // more than is read at once
		b.Events = append(b.Events, job.Log(time.Now(), strings.Repeat("y", 1<<20)))
	}
	c.Job.LastSeq, err = s.Append(ctx, c.Attempt, b)
	return err
}

// end ends every job.
func (y *history) end(t *testing.T) {
	for turn := 0; len(y.open)+len(y.due) > 0; turn++ {
		if turn > 1000 {
			t.Fatalf("jobs %v cannot be claimed", y.due)
		}
		for id, c := range y.open {
			if err := y.h.store.Finish(t.Context(), c.Attempt, storetest.Answer("4"), c.Job.LastSeq); err != nil {
				t.Fatal(err)
			}
			delete(y.open, id)
		}
		for _, id := range y.due {
			y.claim(t, id)
		}
	}
}

func without(ids []string, id string) (rest []string) {
	for _, other := range ids {
		if other != id {
			rest = append(rest, other)
		}
	}
	return rest
}

// fickle is a client that connects, reads a random number of messages at a random pace, drops its connection without
// a word, and comes back with the last position that it knows.
type fickle struct {
	h     *house
	rng   *rand.Rand
	jobID string // "" follows the user
	sse   bool
	after string
	seen  []string // every message, as it came
}

// follow goes on until ended says that the last message is the last one.
func (f *fickle) follow(ctx context.Context, ended func(message) bool) error {
	for {
		quota := 1 + f.rng.IntN(150)
		if f.rng.IntN(4) == 0 {
			quota = 1 << 30
		}
		slow := f.rng.IntN(3) == 0
		take := func(raw string) (more bool, err error) {
			var m message
			if err := json.Unmarshal([]byte(raw), &m); err != nil {
				return false, err
			}
			f.seen, f.after = append(f.seen, raw), m.Cursor
			if f.jobID != "" {
				f.after = itoa(m.Seq)
			}
			if slow {
				pause(ctx, time.Duration(f.rng.Int64N(int64(3*time.Millisecond))))
			}
			quota--
			if ended(m) {
				return false, errOver
			}
			return quota > 0, nil
		}
		read := f.socket
		if f.sse {
			read = f.events
		}
		if err := read(ctx, take); errors.Is(err, errOver) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

var errOver = errors.New("everything was seen")

// pause is the pace of a slow reader: that it takes its time is what is tried.
func pause(ctx context.Context, d time.Duration) {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-ctx.Done():
	case <-late.C:
	}
}

func (f *fickle) socket(ctx context.Context, take func(string) (bool, error)) error {
	query := "?userId=ann&after=" + f.after
	if f.jobID != "" {
		query += "&jobId=" + f.jobID
	}
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(f.h.url, "http")+"/ws"+query, nil)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	conn.SetReadLimit(32 << 20)
	for {
		_, raw, err := conn.Read(ctx)
		if err != nil {
			return nil // too slow, or cut off: come back
		}
		if more, err := take(string(raw)); err != nil || !more {
			return err
		}
	}
}

func (f *fickle) events(ctx context.Context, take func(string) (bool, error)) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.h.url+"/api/jobs/"+f.jobID+"/events?userId=ann", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Last-Event-ID", f.after)
	res, err := f.h.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("event stream: %s", res.Status)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 32<<20)
	for lines.Scan() {
		if raw, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if more, err := take(raw); err != nil || !more {
				return err
			}
		}
	}
	return nil // too slow, or cut off: come back
}

// TestEveryClientsRecordIsTheDatabases lets random things happen to random jobs while clients of every kind come, go,
// read slowly and come back. In the end each has seen what SQL holds: everything, once, in order.
func TestEveryClientsRecordIsTheDatabases(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("again with: go test -run %s -args -seed %d -steps %d", t.Name(), *seed, *steps)
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.WriteWait = 500 * time.Millisecond })
	y := &history{h: h, rng: rand.New(rand.NewPCG(*seed, 0)), open: map[string]*store.Claimed{}}
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute) // a client that hangs ends; what is slow does not
	defer stop()

	mark := make(chan struct{}) // closed when lastOne is known
	var lastOne string          // the job whose done is the last event of all
	ended := func(m message) bool {
		if m.Type != string(job.EventDone) {
			return false
		}
		select {
		case <-mark:
			return m.JobID == lastOne
		default:
			return false
		}
	}
	var all sync.WaitGroup
	var clients []*fickle
	failed := make(chan error, 1000)
	join := func(f *fickle, over func(message) bool) {
		f.h, f.rng = h, rand.New(rand.NewPCG(*seed, uint64(len(clients)+1)))
		clients = append(clients, f)
		all.Go(func() { failed <- f.follow(ctx, over) })
	}
	start := store.EncodeCursor(0)
	for range 4 {
		join(&fickle{after: start}, ended)
	}
	watched := 0
	for range *steps {
		y.step(t)
		if watched < len(y.all) && watched < *steps/10 { // each of the first jobs has two who watch it alone
			id := y.all[watched]
			over := func(m message) bool { return m.Type == string(job.EventDone) }
			join(&fickle{jobID: id, after: "0"}, over)
			join(&fickle{jobID: id, after: "0", sse: true}, over)
			watched++
		}
	}
	y.end(t)
	lastOne = storetest.Queued(t, h.store).ID
	close(mark)
	h.finish(lastOne)
	all.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			t.Error(err)
		}
	}
	y.compare(t, clients)
}

// compare wants each client's record to be what SQL holds.
func (y *history) compare(t *testing.T, clients []*fickle) {
	var everything []job.Event
	for after := int64(0); ; {
		events, err := storetest.Stream(t, y.h.store, storetest.Ann, store.Scope{}, after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			break
		}
		everything = append(everything, events...)
		after = events[len(events)-1].Position
	}
	for i, f := range clients {
		want := everything
		if f.jobID != "" {
			want = storetest.Events(t, y.h.store, f.jobID)
		}
		if len(f.seen) != len(want) {
			t.Errorf("client %d (job %q, sse %v) saw %d events, want %d", i, f.jobID, f.sse, len(f.seen), len(want))
			continue
		}
		for k, e := range want {
			if raw, _ := json.Marshal(e); f.seen[k] != string(raw) {
				t.Errorf("client %d (job %q, sse %v): message %d is %.300s, want %.300s", i, f.jobID, f.sse, k, f.seen[k], raw)
				break
			}
		}
	}
	t.Logf("%d jobs, %d events, %d clients", len(y.all)+1, len(everything), len(clients))
}
