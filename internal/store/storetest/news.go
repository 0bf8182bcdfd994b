package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var newsFacts = []fact{
	{"every write that changes events is told once", toldOnce},
	{"a write that changes nothing is not told", notTold},
	{"what is told can be read", toldCanBeRead},
}

// Listener keeps the news that a store published.
type Listener struct {
	mu    sync.Mutex
	heard []job.News
}

// Publish keeps n.
func (l *Listener) Publish(_ context.Context, n job.News) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, n)
}

func (l *Listener) all() []job.News {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard
}

// take returns what was heard since the last take.
func (l *Listener) take() []job.News {
	l.mu.Lock()
	defer l.mu.Unlock()
	heard := l.heard
	l.heard = nil
	return heard
}

func listen(s *store.Store) *Listener {
	l := &Listener{}
	s.SetNews(l)
	return l
}

func toldOnce(t *testing.T, s *store.Store) {
	ctx := t.Context()
	l := listen(s)
	told := func(what string, want job.News) {
		t.Helper()
		got := l.take()
		if len(got) != 1 {
			t.Errorf("%s: %d news, want one: %+v", what, len(got), got)
			return
		}
		if want.JobID != "" && want.Position == 0 {
			acme := auth.Caller{Tenant: "acme", Operator: true}
			events, err := Stream(t, s, acme, store.Scope{JobID: want.JobID}, 0, 10)
			if err != nil || int64(len(events)) != want.Seq {
				t.Fatalf("%s: %d events, %v; want %d, the last of which is told", what, len(events), err, want.Seq)
			}
			want.Position = events[want.Seq-1].Position
		}
		want.Position = max(0, want.Position)
		same(t, what, got[0], want)
	}
	j := Queued(t, s, func(j *job.Job) { j.BatchID = "batch_1"; j.Tenant = "acme" })
	news := job.News{Tenant: "acme", UserID: "ann", JobID: j.ID, BatchID: "batch_1"}
	at := func(seq int64) job.News { n := news; n.Seq = seq; return n }
	told("Submit", at(1))
	c := Claim(t, s, j.ID)
	told("Claim", at(2))
	if _, err := s.Append(ctx, c.Attempt, store.Batch{AfterSeq: 2, Events: logs(3)}); err != nil {
		t.Fatal(err)
	}
	told("Append", at(5))
	asked := at(5)
	asked.Cancel, asked.Position = true, -1 // a request is no event
	if _, err := s.Cancel(ctx, auth.Caller{Tenant: "acme", UserID: "ann"}, j.ID); err != nil {
		t.Fatal(err)
	}
	told("Cancel", asked)
	ended := at(7)
	ended.Ended = true
	Ready(t, s, c.Sandbox.ID)
	told("SandboxReady", job.News{Tenant: "acme", UserID: "ann", Sandbox: c.Sandbox.ID})
	if err := s.Finish(ctx, c.Attempt, Answer("4"), 5); err != nil {
		t.Fatal(err)
	}
	told("Finish", ended)
	b := added(t, s, Ann)
	told("AddSandbox", job.News{UserID: "ann", Sandbox: b.ID})
	if err := s.SandboxGone(ctx, b.ID, "test"); err != nil {
		t.Fatal(err)
	}
	told("SandboxGone", job.News{UserID: "ann", Sandbox: b.ID})
}

func notTold(t *testing.T, s *store.Store) {
	ctx := t.Context()
	k := store.Key{Name: "k", Fingerprint: []byte("a")}
	if _, _, err := s.Submit(ctx, Ann, New(), k); err != nil {
		t.Fatal(err)
	}
	c, r := intended(t, s)
	stale := c.Attempt
	stale.Number = 9
	l := listen(s)
	if _, _, err := s.Submit(ctx, Ann, New(), k); err != nil {
		t.Error(err)
	}
	if _, err := s.Append(ctx, stale, store.Batch{AfterSeq: 2, Events: logs(1)}); err == nil {
		t.Error("a stale append worked")
	}
	if _, err := s.Append(ctx, c.Attempt, store.Batch{AfterSeq: 2, RunID: r.ID, To: 5}); err != nil {
		t.Error(err)
	}
	if _, err := s.Beat(ctx, Worker, []job.Attempt{c.Attempt}, Lease); err != nil {
		t.Error(err)
	}
	if err := s.SandboxReady(ctx, job.Sandbox{ID: c.Sandbox.ID, PlatformID: "platform-" + c.Sandbox.ID}); err != nil {
		t.Error(err)
	}
	notClaimable(t, s, ClaimOf(c.Job.ID))
	if got := l.take(); len(got) > 0 {
		t.Errorf("told %+v, want silence", got)
	}
}

// reader reads, at the moment it is told, what it is told of.
type reader struct {
	s  *store.Store
	mu sync.Mutex
	n  int
	ko []job.News
}

func (r *reader) Publish(ctx context.Context, n job.News) {
	events, err := r.s.Events(ctx, auth.LocalOperator(), n.JobID, n.Seq-1, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	if err != nil || len(events) != 1 || events[0].Seq != n.Seq {
		r.ko = append(r.ko, n)
	}
}

func toldCanBeRead(t *testing.T, s *store.Store) {
	r := &reader{s: s}
	s.SetNews(r)
	const jobs, appends = 8, 10
	var g errgroup.Group
	for range jobs {
		g.Go(func() error {
			j, _, err := s.Submit(t.Context(), Ann, New(), store.Key{})
			if err != nil {
				return err
			}
			c, err := s.Claim(t.Context(), ClaimOf(j.ID))
			if err != nil {
				return err
			}
			seq := c.Job.LastSeq
			for range appends {
				b := store.Batch{AfterSeq: seq, Events: []job.Event{job.Log(time.Now(), "x")}}
				if seq, err = s.Append(t.Context(), c.Attempt, b); err != nil {
					return err
				}
			}
			return s.Finish(t.Context(), c.Attempt, Answer("4"), seq)
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if want := jobs * (appends + 3); r.n != want || len(r.ko) > 0 {
		t.Errorf("told %d times, want %d; told before it could be read: %+v", r.n, want, r.ko)
	}
}
