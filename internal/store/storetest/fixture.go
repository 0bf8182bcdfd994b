package storetest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// Lease is how long the fixtures' claims hold: longer than any test.
const Lease = time.Hour

// Worker is who holds what the fixtures claim.
const Worker = "worker-1"

// Ann is the user that the fixtures' jobs belong to; Bob is somebody else.
var (
	Ann = auth.User("ann")
	Bob = auth.User("bob")
)

// SQLite opens a new store in a folder of the test's own and closes it at the end.
func SQLite(t testing.TB) *store.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sandpiper.db")
	Prepare(t, path)
	return OpenSQLite(t, path)
}

// OpenSQLite opens the store at path and closes it at the end.
func OpenSQLite(t testing.TB, path string) *store.Store {
	t.Helper()
	return Open(t, "sqlite:"+path)
}

// Open opens the store at url, with a schema that is up to date, and closes it at the end.
func Open(t testing.TB, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, store.Options{Migrate: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return s
}

// New is a job of Ann that is valid in every field and not submitted; change makes it what the test is about.
func New(change ...func(*job.Job)) job.Job {
	j := job.Job{
		ID:     job.NewID(time.Now()),
		UserID: Ann.UserID, Hinted: true,
		Spec: job.Spec{Input: "What is the square root of 16?", Metadata: map[string]string{"ticket": "7"}}.
			WithDefaults(),
	}
	for _, c := range change {
		c(&j)
	}
	return j
}

// Queued submits New(change...) for the job's user.
func Queued(t testing.TB, s *store.Store, change ...func(*job.Job)) job.Job {
	t.Helper()
	j := New(change...)
	kept, _, err := s.Submit(t.Context(), auth.Caller{Tenant: j.Tenant, UserID: j.UserID}, j, store.Key{})
	if err != nil {
		t.Fatal(err)
	}
	kept.Hinted = false // as it is read
	return kept
}

// ClaimOf is a claim of a queued job by Worker, with a new token and a new sandbox to fall back to.
func ClaimOf(id string) store.Claim {
	return store.Claim{
		JobID: id, Worker: Worker, Token: job.NewToken(), Lease: Lease,
		Fresh: job.Sandbox{ID: job.NewSandboxID(), Snapshot: "snap", Fingerprint: "print"},
	}
}

// Claim claims a queued job.
func Claim(t testing.TB, s *store.Store, id string) store.Claimed {
	t.Helper()
	return claim(t, s, ClaimOf(id))
}

// Claimed submits and claims a job.
func Claimed(t testing.TB, s *store.Store, change ...func(*job.Job)) store.Claimed {
	t.Helper()
	return Claim(t, s, Queued(t, s, change...).ID)
}

// TakenOver lets a's lease lapse and claims the job for the next attempt: a is stale then.
func TakenOver(t testing.TB, s *store.Store, a job.Attempt) store.Claimed {
	t.Helper()
	Expire(t, s, a)
	q := ClaimOf(a.JobID)
	q.TakeOver = true
	return claim(t, s, q)
}

func claim(t testing.TB, s *store.Store, q store.Claim) store.Claimed {
	t.Helper()
	c, err := s.Claim(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Expire lets the lease of a lapse now, as if its worker had been silent for too long: a beat with a lease that ends
// in the past.
func Expire(t testing.TB, s *store.Store, a job.Attempt) {
	t.Helper()
	b, err := s.Beat(t.Context(), cmp.Or(a.Worker, Worker), []job.Attempt{a}, -time.Second)
	if err != nil || len(b.Lost) > 0 {
		t.Fatalf("expire lease of %+v: lost %v, %v", a, b.Lost, err)
	}
}

// Launched gives a claimed job a run that has been launched.
func Launched(t testing.TB, s *store.Store, c store.Claimed) job.Run {
	t.Helper()
	r := job.Run{ID: job.NewRunID(), JobID: c.Job.ID, SandboxID: c.Sandbox.ID, Limit: time.Hour}
	if err := s.Intend(t.Context(), c.Attempt, r); err != nil {
		t.Fatal(err)
	}
	if err := s.MarkLaunched(t.Context(), c.Attempt, r.ID); err != nil {
		t.Fatal(err)
	}
	return r
}

// Ready makes the sandbox of a claimed job, as far as SQL knows.
func Ready(t testing.TB, s *store.Store, id string) {
	t.Helper()
	if err := s.SandboxReady(t.Context(), job.Sandbox{ID: id, PlatformID: "platform-" + id}); err != nil {
		t.Fatal(err)
	}
}

// Finished submits, claims, runs and answers a job, in a sandbox that is ready afterwards.
func Finished(t testing.TB, s *store.Store, change ...func(*job.Job)) job.Job {
	t.Helper()
	c := Claimed(t, s, change...)
	Ready(t, s, c.Sandbox.ID)
	Launched(t, s, c)
	if err := s.Finish(t.Context(), c.Attempt, Answer("4"), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	return Read(t, s, c.Job.ID)
}

// Sandbox adds a sandbox of the user that is ready and named in no job.
func Sandbox(t testing.TB, s *store.Store, c auth.Caller) job.Sandbox {
	t.Helper()
	b, err := s.AddSandbox(t.Context(), c, job.Sandbox{ID: job.NewSandboxID(), Snapshot: "snap", Fingerprint: "print"})
	if err != nil {
		t.Fatal(err)
	}
	Ready(t, s, b.ID)
	return b
}

// Answer is an outcome that is valid in every field.
func Answer(text string) job.Outcome {
	cost := 0.25
	o := job.Success(job.Result{Text: text, Format: job.FormatText, JSON: []byte(`{"type":"result"}`)})
	o.Usage = []job.ModelUsage{{Model: "sonnet", InputTokens: 10, OutputTokens: 2, CacheReadTokens: 3, CacheWriteTokens: 4}}
	o.CostUSD, o.PriceVersion = &cost, "2.1.330"
	return o
}

// Read reads a job as its owner does, whoever that is.
func Read(t testing.TB, s *store.Store, id string) job.Job {
	t.Helper()
	j, err := s.Job(context.WithoutCancel(t.Context()), auth.LocalOperator(), id)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// Stream reads a stream as store.Stream does, and waits until what is held back is settled. That is so when the writes
// end that are at work now, those of other tests on the same server too; after a minute it has failed.
func Stream(t testing.TB, s *store.Store, c auth.Caller, sc store.Scope, after int64, limit int) ([]job.Event, error) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer stop()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for {
		events, held, err := s.Stream(ctx, c, sc, after, limit)
		if !held || err != nil {
			return events, err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return events, errors.New("events are held back, and nobody is at work on what comes before them")
		}
	}
}

// Events reads all events of a job, with their final positions.
func Events(t testing.TB, s *store.Store, id string) (all []job.Event) {
	t.Helper()
	if _, err := Stream(t, s, auth.LocalOperator(), store.Scope{JobID: id}, 0, 10_000); err != nil {
		t.Fatal(err)
	}
	for after := int64(0); ; {
		events, err := s.Events(context.WithoutCancel(t.Context()), auth.LocalOperator(), id, after, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			return all
		}
		all = append(all, events...)
		after = events[len(events)-1].Seq
	}
}

// Due lists up to limit jobs of all priorities that could be claimed, the most urgent first.
func Due(ctx context.Context, s *store.Store, limit int) (all []job.Hint, err error) {
	for _, p := range job.Priorities {
		if limit == len(all) {
			break
		}
		found, err := s.Due(ctx, store.Round{Priority: p, Limit: limit - len(all)})
		if err != nil {
			return nil, err
		}
		all = append(all, found.Hints...)
	}
	return all, nil
}

// Overdue gives out hints as a sweeper does: for up to limit jobs of all priorities, those whose last one is older than
// age, and those that want one.
func Overdue(ctx context.Context, s *store.Store, age time.Duration, limit int) (all []job.Hint, err error) {
	for _, p := range job.Priorities {
		if limit == len(all) {
			break
		}
		again, err := s.Renew(ctx, p, age, limit-len(all))
		if err != nil {
			return nil, err
		}
		if all = append(all, again...); limit == len(all) {
			break
		}
		given, err := s.Give(ctx, store.Round{Priority: p, Limit: limit - len(all)})
		if err != nil {
			return nil, err
		}
		all = append(all, given.Hints...)
	}
	return all, nil
}
