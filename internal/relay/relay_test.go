package relay_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/relay"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire carries news by hand: a test decides what arrives.
type wire chan job.News

func (w wire) Listen() (<-chan job.News, func()) { return w, func() {} }

// table is a real store that counts its answers and can be switched off.
type table struct {
	*store.Store
	mu    sync.Mutex
	reads int
	away  error
	limit int // the largest that was asked for
}

var errAway = errors.New("database away")

func (s *table) answer(limit int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	s.limit = max(s.limit, limit)
	return s.away
}

func (s *table) switchOff(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = err
}

func (s *table) Events(ctx context.Context, c auth.Caller, id string, after int64, limit int) ([]job.Event, error) {
	if err := s.answer(limit); err != nil {
		return nil, err
	}
	return s.Store.Events(ctx, c, id, after, limit)
}

func (s *table) Stream(ctx context.Context, c auth.Caller, sc store.Scope, after int64, limit int) ([]job.Event, bool, error) {
	if err := s.answer(limit); err != nil {
		return nil, false, err
	}
	return s.Store.Stream(ctx, c, sc, after, limit)
}

func (s *table) Head(ctx context.Context) (int64, error) {
	if err := s.answer(0); err != nil {
		return 0, err
	}
	return s.Store.Head(ctx)
}

// house is a relay over a real store, its news in the hands of the test.
type house struct {
	t     testing.TB
	table *table
	relay *relay.Relay
	news  wire
}

// never is a time between looks that no test lives to see.
const never = time.Hour

func newHouse(t testing.TB, every time.Duration, batch int) *house {
	t.Helper()
	h := &house{t: t, table: &table{Store: storetest.SQLite(t)}, news: make(wire)}
	h.relay = relay.New(h.table, h.news, relay.Options{Every: every, Batch: batch, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.relay.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return h
}

func (h *house) open(c auth.Caller, sc store.Scope, start relay.Start) *relay.Stream {
	h.t.Helper()
	s, err := h.relay.Open(h.t.Context(), c, sc, start)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(s.Close)
	return s
}

// next is the seqs of the next batch.
func next(t testing.TB, s *relay.Stream) (seqs []int64) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	events, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		seqs = append(seqs, e.Seq)
	}
	return seqs
}

// wantQuiet checks that a stream gives nothing: it has looked, however long that takes, and waits.
func wantQuiet(t testing.TB, s *relay.Stream) {
	t.Helper()
	for looked := false; !looked; looked = s.CaughtUp() {
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Millisecond)
		events, err := s.Next(ctx)
		stop()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %+v, %v, want nothing", events, err)
			return
		}
	}
}

func TestWhatIsSubmittedAfterOpenIsSeenFromSeq1(t *testing.T) {
	h := newHouse(t, never, 0)
	storetest.Queued(t, h.table.Store)
	s := h.open(storetest.Ann, store.Scope{}, relay.Live())
	j := storetest.Queued(t, h.table.Store) // between Open and the first Next
	if got := next(t, s); len(got) != 1 || got[0] != 1 {
		t.Errorf("got %v of %s, want its seq 1 only", got, j.ID)
	}
	wantQuiet(t, s)
}

func TestNewsWakesAStream(t *testing.T) {
	for name, tc := range map[string]struct {
		scope func(j job.Job) store.Scope
		c     auth.Caller
		news  func(j job.Job) job.News
		wakes bool
	}{
		"of its job":              {ofJob, storetest.Ann, whole, true},
		"of its user":             {ofAll, storetest.Ann, whole, true},
		"of anybody":              {ofAll, auth.LocalOperator(), whole, true},
		"of the user it names":    {ofUser, auth.LocalOperator(), whole, true},
		"of its batch":            {ofBatch, storetest.Ann, whole, true},
		"lost news":               {ofJob, storetest.Ann, func(job.Job) job.News { return job.News{} }, true},
		"of another job":          {ofJob, storetest.Ann, func(job.Job) job.News { return job.News{JobID: "job_2", UserID: "ann"} }, false},
		"of another user":         {ofAll, storetest.Ann, func(job.Job) job.News { return job.News{JobID: "job_2", UserID: "bob"} }, false},
		"of another tenant":       {ofAll, auth.LocalOperator(), func(job.Job) job.News { return job.News{JobID: "job_2", Tenant: "t"} }, false},
		"of a sandbox":            {ofAll, storetest.Ann, func(job.Job) job.News { return job.News{Sandbox: "sbx_1", UserID: "ann"} }, false},
		"of a batch it is not in": {ofBatch, storetest.Ann, func(job.Job) job.News { return job.News{JobID: "job_2", UserID: "ann", BatchID: "b2"} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, never, 0)
			c := storetest.Claimed(t, h.table.Store, func(j *job.Job) { j.BatchID = "b1" })
			s := h.open(tc.c, tc.scope(c.Job), relay.Live())
			wantQuiet(t, s) // it has looked: now it waits
			if _, err := h.table.Append(t.Context(), c.Attempt, store.Batch{AfterSeq: c.Job.LastSeq, Events: []job.Event{job.Log(time.Now(), "x")}}); err != nil {
				t.Fatal(err)
			}
			wantQuiet(t, s)
			h.news <- tc.news(c.Job)
			if !tc.wakes {
				wantQuiet(t, s)
				return
			}
			if got := next(t, s); len(got) != 1 || got[0] != c.Job.LastSeq+1 {
				t.Errorf("got %v, want %d", got, c.Job.LastSeq+1)
			}
		})
	}
}

func ofAll(job.Job) store.Scope     { return store.Scope{} }
func ofJob(j job.Job) store.Scope   { return store.Scope{JobID: j.ID} }
func ofUser(j job.Job) store.Scope  { return store.Scope{UserID: j.UserID} }
func ofBatch(j job.Job) store.Scope { return store.Scope{BatchID: j.BatchID} }

// whole is the news that the store would publish.
func whole(j job.Job) job.News {
	return job.News{UserID: j.UserID, JobID: j.ID, BatchID: j.BatchID, Seq: 9}
}

func TestLostNewsCostsDelayOnly(t *testing.T) {
	h := newHouse(t, 10*time.Millisecond, 0)
	s := h.open(storetest.Ann, store.Scope{}, relay.Live())
	wantQuiet(t, s)
	storetest.Queued(t, h.table.Store) // nobody tells
	if got := next(t, s); len(got) != 1 {
		t.Errorf("got %v, want one event", got)
	}
}

func TestAnIdleRelayAsksOnceForAll(t *testing.T) {
	h := newHouse(t, never, 0)
	for range 20 {
		wantQuiet(t, h.open(storetest.Ann, store.Scope{}, relay.Live()))
	}
	head, err := h.relay.Turn(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	before := h.table.reads
	for range 10 {
		if _, err := h.relay.Turn(t.Context(), head); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.table.reads - before; got != 10 {
		t.Errorf("10 turns cost %d reads, want 10", got)
	}
}

func TestEventsComeInBatchesAndInOrder(t *testing.T) {
	h := newHouse(t, never, 7)
	c := storetest.Claimed(t, h.table.Store)
	b := store.Batch{AfterSeq: c.Job.LastSeq}
	for range 50 {
		b.Events = append(b.Events, job.Log(time.Now(), "x"))
	}
	last, err := h.table.Append(t.Context(), c.Attempt, b)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*relay.Stream{
		"by seq":      h.open(storetest.Ann, store.Scope{JobID: c.Job.ID}, relay.AfterSeq(0)),
		"by position": h.open(storetest.Ann, store.Scope{}, relay.AfterPosition(0)),
	} {
		t.Run(name, func(t *testing.T) {
			for want := int64(1); want <= last; {
				got := next(t, s)
				if len(got) > 7 {
					t.Fatalf("a batch of %d, want at most 7", len(got))
				}
				for _, seq := range got {
					if seq != want {
						t.Fatalf("got %d, want %d", seq, want)
					}
					want++
				}
			}
			if !s.CaughtUp() {
				wantQuiet(t, s)
			}
			if !s.CaughtUp() {
				t.Error("at the end, and not caught up")
			}
		})
	}
	if h.table.limit != 7 {
		t.Errorf("asked for %d events at once, want 7", h.table.limit)
	}
}

func TestAStreamGoesOnAfterTheDatabaseWasAway(t *testing.T) {
	h := newHouse(t, never, 0)
	j := storetest.Queued(t, h.table.Store)
	s := h.open(storetest.Ann, store.Scope{JobID: j.ID}, relay.AfterSeq(0))
	h.table.switchOff(errAway)
	if _, err := s.Next(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("Next: %v, want %v", err, errAway)
	}
	if _, err := h.relay.Turn(t.Context(), 1); !errors.Is(err, errAway) {
		t.Errorf("Turn: %v, want %v", err, errAway)
	}
	if _, err := h.relay.Open(t.Context(), storetest.Ann, store.Scope{}, relay.Live()); !errors.Is(err, errAway) {
		t.Errorf("Open: %v, want %v", err, errAway)
	}
	h.table.switchOff(nil)
	if got := next(t, s); len(got) != 1 || got[0] != 1 {
		t.Errorf("got %v, want seq 1", got)
	}
}

func TestOpenRefusesWhatIsNotTheCallers(t *testing.T) {
	h := newHouse(t, never, 0)
	j := storetest.Queued(t, h.table.Store)
	for name, tc := range map[string]struct {
		c  auth.Caller
		id string
	}{"another's job": {storetest.Bob, j.ID}, "no job": {auth.LocalOperator(), "job_0"}} {
		for _, start := range []relay.Start{relay.Live(), relay.AfterSeq(0), relay.AfterPosition(0)} {
			if _, err := h.relay.Open(t.Context(), tc.c, store.Scope{JobID: tc.id}, start); !errors.Is(err, job.ErrNotFound) {
				t.Errorf("%s: %v, want %v", name, err, job.ErrNotFound)
			}
		}
	}
	if _, err := h.relay.Open(t.Context(), storetest.Ann, store.Scope{}, relay.AfterSeq(3)); err == nil {
		t.Error("a seq without a job was accepted")
	}
	bobs := h.open(storetest.Bob, store.Scope{}, relay.AfterPosition(0))
	wantQuiet(t, bobs)
}

func TestNextEndsWithTheCauseOfItsContext(t *testing.T) {
	h := newHouse(t, never, 0)
	s := h.open(storetest.Ann, store.Scope{}, relay.Live())
	ctx, stop := context.WithCancelCause(t.Context())
	errDrain := errors.New("drain")
	go stop(errDrain)
	if _, err := s.Next(ctx); !errors.Is(err, errDrain) {
		t.Errorf("%v, want %v", err, errDrain)
	}
}

func TestOneWhoDoesNotLookHoldsUpNobody(t *testing.T) {
	h := newHouse(t, never, 0)
	for range 10 {
		h.open(storetest.Ann, store.Scope{}, relay.Live()) // opened, and never asked
	}
	wake, stop := h.relay.Watch(relay.SandboxOf("sbx_1"))
	defer stop()
	s := h.open(storetest.Ann, store.Scope{}, relay.Live())
	storetest.Queued(t, h.table.Store)
	for range 100 {
		h.news <- job.News{UserID: "ann", JobID: "job_1", Sandbox: "sbx_1"} // taken at once, each time
	}
	if got := next(t, s); len(got) != 1 {
		t.Errorf("got %v, want one event", got)
	}
	<-wake
}

func TestWatchesAreWokenByTheirNews(t *testing.T) {
	h := newHouse(t, never, 0)
	for name, tc := range map[string]struct {
		topic relay.Topic
		news  job.News
		wakes bool
	}{
		"a job's end":            {relay.EndOf("job_1"), job.News{JobID: "job_1", Ended: true}, true},
		"a job that goes on":     {relay.EndOf("job_1"), job.News{JobID: "job_1"}, false},
		"another job's end":      {relay.EndOf("job_1"), job.News{JobID: "job_2", Ended: true}, false},
		"a sandbox":              {relay.SandboxOf("sbx_1"), job.News{Sandbox: "sbx_1"}, true},
		"a job and its sandbox":  {relay.SandboxOf("sbx_1"), job.News{JobID: "job_1", Sandbox: "sbx_1"}, true},
		"another sandbox":        {relay.SandboxOf("sbx_1"), job.News{Sandbox: "sbx_2"}, false},
		"news that may be lost":  {relay.SandboxOf("sbx_1"), job.News{}, true},
		"a job's ordinary event": {relay.EventsOf("job_1"), job.News{JobID: "job_1", Seq: 3}, true},
	} {
		t.Run(name, func(t *testing.T) {
			wake, stop := h.relay.Watch(tc.topic)
			defer stop()
			h.news <- tc.news
			if tc.wakes {
				<-wake
				return
			}
			mark, unmark := h.relay.Watch(relay.SandboxOf("mark"))
			defer unmark()
			h.news <- job.News{Sandbox: "mark"}
			<-mark // it came later, so that has been told
			select {
			case <-wake:
				t.Error("woken")
			default:
			}
		})
	}
}
