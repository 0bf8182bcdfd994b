package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/offline/scripted"
	"sandpiper/internal/store"
)

// left is a database as a worker left it that died: a claimed job, and what it had come to.
func left(t *testing.T, data string, came func(s *store.Store, c store.Claimed)) (id string) {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(data, "sandpiper.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	j := job.Job{ID: job.NewID(time.Now()), UserID: "user123", Spec: job.Spec{Input: "What is 2+2?"}.WithDefaults()}
	if _, _, err := s.Submit(t.Context(), auth.User("user123"), j, store.Key{}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Claim(t.Context(), store.Claim{
		JobID: j.ID, Worker: "dead", Token: job.NewToken(), Lease: time.Hour,
		Fresh: job.Sandbox{ID: job.NewSandboxID(), Fingerprint: "f", Pooled: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	came(s, c)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return j.ID
}

func intended(c store.Claimed) job.Run {
	return job.Run{
		ID: job.NewRunID(), JobID: c.Job.ID, SandboxID: c.Sandbox.ID, Attempt: c.Attempt.Number, Phase: job.Intended,
		Limit: time.Hour,
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestWhatADeadWorkerLeft: the evidence decides, and nothing that may have been asked is asked again.
func TestWhatADeadWorkerLeft(t *testing.T) {
	for name, tc := range map[string]struct {
		came  func(s *store.Store, c store.Claimed)
		state client.State
		asked int
	}{
		"nothing but the claim: it runs": {
			came:  func(*store.Store, store.Claimed) {},
			state: "succeeded", asked: 1,
		},
		"the intent, and no launch: it is launched": {
			came:  func(s *store.Store, c store.Claimed) { must(t, s.Intend(t.Context(), c.Attempt, intended(c))) },
			state: "succeeded", asked: 1,
		},
		"a launch, and the sandbox is gone: nobody can know": {
			came: func(s *store.Store, c store.Claimed) {
				r := intended(c)
				must(t, s.SandboxReady(t.Context(), job.Sandbox{ID: c.Sandbox.ID, PlatformID: "00000000-0000-0000-0000-000000000000"}))
				must(t, s.Intend(t.Context(), c.Attempt, r))
				must(t, s.MarkLaunched(t.Context(), c.Attempt, r.ID))
			},
			state: "outcome_unknown", asked: 0,
		},
		"a launch, and a sandbox that knows nothing of it: nobody can know": {
			came: func(s *store.Store, c store.Claimed) {
				r := intended(c)
				must(t, s.Intend(t.Context(), c.Attempt, r))
				must(t, s.MarkLaunched(t.Context(), c.Attempt, r.ID))
			},
			state: "outcome_unknown", asked: 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			id := left(t, data, tc.came)
			model := scripted.New(t)
			h := openWith(t, model, []string{
				"SANDPIPER_DATA=" + data, "SANDPIPER_CLAUDE=" + claudeBinary(t),
				"ANTHROPIC_API_KEY=" + key, "ANTHROPIC_BASE_URL=" + model.URL(),
			})
			j := h.ended(t, id)
			if j.State != tc.state || j.Attempt != 2 || j.Tries != 0 {
				t.Errorf("job = %s %+v, attempt %d, tries %d; want %s by attempt 2 without a try", j.State, j.Error, j.Attempt, j.Tries, tc.state)
			}
			if n := len(model.Requests()); n != tc.asked {
				t.Errorf("the model was asked %d times, want %d", n, tc.asked)
			}
		})
	}
}
