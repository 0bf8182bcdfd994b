package storetest

import (
	"errors"
	"testing"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var conversationFacts = []fact{
	{"every job has a conversation of its own unless it continues one", func(t *testing.T, s *store.Store) {
		a, b := Queued(t, s), Queued(t, s)
		c := Queued(t, s, continues(a))
		if a.ConversationID == "" || a.ConversationID == b.ConversationID || c.ConversationID != a.ConversationID {
			t.Errorf("conversations %q, %q and %q", a.ConversationID, b.ConversationID, c.ConversationID)
		}
	}},
	{"a continuation waits for the earlier jobs of its conversation, and is hinted when they have ended", continuationWaits},
	{"a continuation whose sandbox is gone ends as lost", func(t *testing.T, s *store.Store) {
		first := said(t, s, "session-1")
		if err := s.SandboxGone(t.Context(), first.SandboxID, "deleted"); err != nil {
			t.Fatal(err)
		}
		isLost(t, s, Queued(t, s, continues(first)).ID)
	}},
	{"a continuation named another sandbox ends as lost", func(t *testing.T, s *store.Store) {
		first, other := said(t, s, "session-1"), Sandbox(t, s, Ann)
		isLost(t, s, Queued(t, s, continues(first), func(j *job.Job) { j.Spec.SandboxID = other.ID }).ID)
	}},
	{"a continuation of somebody else's conversation ends as lost", func(t *testing.T, s *store.Store) {
		first := said(t, s, "session-1")
		isLost(t, s, Queued(t, s, continues(first), func(j *job.Job) { j.UserID = Bob.UserID }).ID)
	}},
	{"a retry begins the conversation of its job again, while nothing has gone on with it", retryBegins},
	{"a turn in which nothing was said is skipped", func(t *testing.T, s *store.Store) {
		first := said(t, s, "session-1")
		silent := Claim(t, s, Queued(t, s, continues(first)).ID)
		if err := s.Finish(t.Context(), silent.Attempt, Answer(""), silent.Job.LastSeq); err != nil {
			t.Fatal(err)
		}
		if c := Claim(t, s, Queued(t, s, continues(first)).ID); c.Resume != "session-1" || c.Sandbox.ID != first.SandboxID {
			t.Errorf("goes on with %q in %s", c.Resume, c.Sandbox.ID)
		}
	}},
}

// retryOf is a retry by hand of a job that began a conversation.
func retryOf(first job.Job) func(*job.Job) {
	return func(j *job.Job) { j.RetryOf, j.ConversationID = first.ID, first.ConversationID }
}

func retryBegins(t *testing.T, s *store.Store) {
	first := said(t, s, "session-1")
	again := Queued(t, s, retryOf(first))
	if again.ConversationID != first.ConversationID || again.RetryOf != first.ID || again.Spec.Continues() {
		t.Fatalf("the retry is %+v, want it to begin %s", again, first.ConversationID)
	}
	c := Claim(t, s, again.ID)
	if c.Resume != "" {
		t.Errorf("the retry goes on with %q", c.Resume)
	}
	say(t, s, c, "session-2")
	next := Queued(t, s, continues(first))
	if other := Queued(t, s, retryOf(first)); other.ConversationID == first.ConversationID {
		t.Errorf("a retry begins a conversation anew that a job is about to go on with")
	}
	if c := Claim(t, s, next.ID); c.Resume != "session-2" {
		t.Errorf("the next job goes on with %q, want what the retry said", c.Resume)
	} else {
		say(t, s, c, "session-3")
	}
	if other := Queued(t, s, retryOf(first)); other.ConversationID == first.ConversationID {
		t.Errorf("a retry begins a conversation anew that a job has gone on with")
	}
	if other := Queued(t, s, retryOf(first), func(j *job.Job) { j.UserID = Bob.UserID }); other.ConversationID != first.ConversationID {
		t.Errorf("another user's jobs with the same id are in the way")
	}
}

func continues(first job.Job) func(*job.Job) {
	return func(j *job.Job) { j.Spec.ConversationID = first.ConversationID }
}

// said is a job that was answered in a session.
func said(t *testing.T, s *store.Store, session string) job.Job {
	t.Helper()
	c := Claimed(t, s)
	Ready(t, s, c.Sandbox.ID)
	say(t, s, c, session)
	return Read(t, s, c.Job.ID)
}

func say(t *testing.T, s *store.Store, c store.Claimed, session string) {
	t.Helper()
	o := Answer("4")
	o.Session = session
	if err := s.Finish(t.Context(), c.Attempt, o, c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
}

func isLost(t *testing.T, s *store.Store, id string) {
	t.Helper()
	if _, err := s.Claim(t.Context(), ClaimOf(id)); !errors.Is(err, job.ErrNotClaimable) {
		t.Errorf("claim = %v", err)
	}
	j := Read(t, s, id)
	if j.State != job.Failed || j.Outcome.Failure.Code != job.ConversationLost {
		t.Errorf("job = %s %+v", j.State, j.Outcome)
	}
}

func continuationWaits(t *testing.T, s *store.Store) {
	first := Queued(t, s, func(j *job.Job) { j.Spec.Priority = job.Bulk })
	second := Queued(t, s, continues(first), func(j *job.Job) { j.Spec.Priority = job.Bulk })
	third := Queued(t, s, continues(first)) // more urgent, and still the last
	for i, j := range []job.Job{first, second, third} {
		for _, later := range []job.Job{first, second, third}[i+1:] {
			if _, err := s.Claim(t.Context(), ClaimOf(later.ID)); !errors.Is(err, job.ErrNotClaimable) {
				t.Fatalf("claimed before its turn: %v", err)
			}
		}
		hints, err := Due(t.Context(), s, 10)
		if err != nil || len(hints) != 1 || hints[0].JobID != j.ID {
			t.Fatalf("due = %+v, %v; want job %d alone", hints, err, i+1)
		}
		c := Claim(t, s, j.ID)
		if want := []string{"", "session-1", "session-2"}[i]; c.Resume != want {
			t.Errorf("job %d goes on with %q, want %q", i+1, c.Resume, want)
		}
		if i == 0 {
			Ready(t, s, c.Sandbox.ID)
		}
		say(t, s, c, []string{"session-1", "session-2", "session-3"}[i])
	}
	if last := Read(t, s, third.ID); last.SandboxID == "" || last.SandboxID != Read(t, s, first.ID).SandboxID {
		t.Errorf("the last ran in %q", last.SandboxID)
	}
}
