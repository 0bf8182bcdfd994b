package storetest

import (
	"errors"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var claimFacts = []fact{
	{"a claim gives the next attempt, a sandbox and an event", claimGives},
	{"a claimed job is not claimable", claimOnce},
	{"a claim whose reply was lost is answered again", claimAgain},
	{"a lapsed lease can be taken over and a live one not", takeOver},
	{"a beat keeps a lease and says what was lost", beatKeeps},
	{"voided leases lapse at once", voidLeases},
	{"what does not exist is not claimable", claimNothing},
	{"a takeover shows the run that is going", takeOverRun},
}

func claimGives(t *testing.T, s *store.Store) {
	j := Queued(t, s)
	q := ClaimOf(j.ID)
	c := claim(t, s, q)
	if c.Attempt != (job.Attempt{JobID: j.ID, Number: 1, Worker: Worker}) || c.Run != nil {
		t.Errorf("attempt %+v, run %v", c.Attempt, c.Run)
	}
	if c.Job.State != job.Running || c.Job.Attempt != 1 || c.Job.LastSeq != 2 || c.Job.StartedAt.IsZero() || c.Job.SandboxID != q.Fresh.ID {
		t.Errorf("job %+v", c.Job)
	}
	if b := c.Sandbox; b.ID != q.Fresh.ID || b.State != job.SandboxCreating || b.BusyJob != j.ID || b.UserID != j.UserID ||
		b.Snapshot != "snap" || b.Fingerprint != "print" || !b.Pooled {
		t.Errorf("sandbox %+v", b)
	}
	e := Events(t, s, j.ID)[1]
	if e.State != job.Running || e.Attempt != 1 || e.Reason != "" || e.SandboxID != q.Fresh.ID {
		t.Errorf("event %+v", e)
	}
}

func claimOnce(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	notClaimable(t, s, ClaimOf(c.Job.ID))
	q := ClaimOf(c.Job.ID)
	q.TakeOver = true
	notClaimable(t, s, q)
	if j := Read(t, s, c.Job.ID); j.Attempt != 1 || j.LastSeq != 2 {
		t.Errorf("after two refused claims: attempt %d, seq %d; want 1 and 2", j.Attempt, j.LastSeq)
	}
}

func notClaimable(t testing.TB, s *store.Store, q store.Claim) {
	t.Helper()
	if c, err := s.Claim(t.Context(), q); !errors.Is(err, job.ErrNotClaimable) {
		t.Errorf("claim: %+v, %v; want ErrNotClaimable", c.Attempt, err)
	}
}

func claimAgain(t *testing.T, s *store.Store) {
	q := ClaimOf(Queued(t, s).ID)
	first := claim(t, s, q)
	same(t, "the same claim again", claim(t, s, q), first)
	if n := len(Events(t, s, q.JobID)); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	next := ClaimOf(q.JobID)
	next.TakeOver = true
	Expire(t, s, first.Attempt)
	taken := claim(t, s, next)
	same(t, "the same takeover again", claim(t, s, next), taken)
	notClaimable(t, s, q) // its attempt is over
}

func takeOver(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	q := ClaimOf(c.Job.ID)
	q.TakeOver = true
	notClaimable(t, s, q)
	lapsed(t, s)
	Expire(t, s, c.Attempt)
	lapsed(t, s, c.Job.ID)
	q.TakeOver = false
	notClaimable(t, s, q)
	q.TakeOver = true
	next := claim(t, s, q)
	lapsed(t, s)
	if next.Attempt.Number != 2 || next.Sandbox.ID != c.Sandbox.ID || next.Sandbox.BusyJob != c.Job.ID {
		t.Errorf("takeover: %+v in %+v, want attempt 2 in the same sandbox", next.Attempt, next.Sandbox)
	}
	if !next.Job.StartedAt.Equal(c.Job.StartedAt) {
		t.Errorf("started at %v, then at %v; the first claim counts", c.Job.StartedAt, next.Job.StartedAt)
	}
	if e := Events(t, s, c.Job.ID)[2]; e.State != job.Running || e.Attempt != 2 || e.Reason != "lease lapsed" {
		t.Errorf("event %+v", e)
	}
}

func lapsed(t testing.TB, s *store.Store, want ...string) {
	t.Helper()
	got, err := s.Lapsed(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "lapsed jobs", got, want)
}

func beatKeeps(t *testing.T, s *store.Store) {
	kept, lost, ended, asked := Claimed(t, s), Claimed(t, s), Claimed(t, s), Claimed(t, s)
	TakenOver(t, s, lost.Attempt)
	if err := s.Finish(t.Context(), ended.Attempt, Answer("4"), ended.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Cancel(t.Context(), Ann, asked.Job.ID); err != nil {
		t.Fatal(err)
	}
	Expire(t, s, kept.Attempt) // and nobody took it over: a beat has it back
	held := []job.Attempt{kept.Attempt, lost.Attempt, ended.Attempt, asked.Attempt}
	want := store.Beat{Lost: []string{lost.Job.ID, ended.Job.ID}, Cancel: []string{asked.Job.ID}}
	for range 2 { // the second time as if the reply had been lost
		got, err := s.Beat(t.Context(), Worker, held, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "beat", got, want)
	}
	lapsed(t, s)
	other, err := s.Beat(t.Context(), "worker-2", []job.Attempt{kept.Attempt}, time.Hour)
	if err != nil || len(other.Lost) != 1 {
		t.Errorf("another worker's beat: %+v, %v; want the job lost", other, err)
	}
	if none, err := s.Beat(t.Context(), Worker, nil, time.Hour); err != nil || len(none.Lost)+len(none.Cancel) > 0 {
		t.Errorf("beat for nothing: %+v, %v", none, err)
	}
}

func voidLeases(t *testing.T, s *store.Store) {
	a, b := Claimed(t, s), Claimed(t, s)
	for range 2 {
		if n, err := s.VoidLeases(t.Context(), Lease); err != nil || n != 2 {
			t.Errorf("voided %d leases, %v; want 2", n, err)
		}
	}
	got, err := s.Lapsed(t.Context(), 10)
	if err != nil || len(got) != 2 {
		t.Errorf("lapsed %v, %v; want %s and %s", got, err, a.Job.ID, b.Job.ID)
	}
	q := ClaimOf(a.Job.ID)
	q.TakeOver = true
	claim(t, s, q)
}

func claimNothing(t *testing.T, s *store.Store) {
	notClaimable(t, s, ClaimOf("job_0_none"))
	notClaimable(t, s, ClaimOf(Finished(t, s).ID))
	j := Queued(t, s)
	if _, err := s.Cancel(t.Context(), Ann, j.ID); err != nil {
		t.Fatal(err)
	}
	notClaimable(t, s, ClaimOf(j.ID))
	q := ClaimOf(Queued(t, s).ID)
	q.TakeOver = true
	notClaimable(t, s, q)
}

func takeOverRun(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	r := Launched(t, s, c)
	seq, err := s.Append(t.Context(), c.Attempt, store.Batch{
		AfterSeq: c.Job.LastSeq, RunID: r.ID, To: 10, Usage: Answer("").Usage, Events: logs(1),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := TakenOver(t, s, c.Attempt)
	if got.Run == nil || got.Run.ID != r.ID || got.Run.Phase != job.Launched || got.Run.Offset != 10 || got.Run.Attempt != 1 ||
		got.Run.LaunchedAt.IsZero() || got.Run.Limit != r.Limit || got.Run.SandboxID != c.Sandbox.ID {
		t.Errorf("run %+v", got.Run)
	}
	if left, err := s.Left(t.Context(), r.ID); err != nil || left > r.Limit || left < r.Limit-time.Minute {
		t.Errorf("left are %v, %v; want about %v", left, err, r.Limit)
	}
	same(t, "usage seen", got.Run.Usage, Answer("").Usage)
	if got.Job.LastSeq != seq+1 {
		t.Errorf("seq %d after the takeover, want %d", got.Job.LastSeq, seq+1)
	}
}
