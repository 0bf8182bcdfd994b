package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/job"
	"sandpiper/internal/offline/scripted"
	"sandpiper/internal/store"
)

// TestAPoisonedJobIsStopped: five workers died under a job whose prompt is running. Whoever takes it over ends the prompt,
// and takes its answer if that came first: it is paid.
func TestAPoisonedJobIsStopped(t *testing.T) {
	claudeBinary(t)
	for name, tc := range map[string]struct {
		answered bool // before somebody comes
		want     string
	}{
		"no answer yet":      {false, "failed POISON_JOB"},
		"an answer is there": {true, "succeeded"},
	} {
		t.Run(name, func(t *testing.T) {
			model, data := scripted.New(t), t.TempDir()
			release := make(chan struct{}) // where it stays open, there is no answer
			model.Handle(func(scripted.Request) scripted.Answer { return scripted.Held(release, scripted.Text("4")) })
			first := startProcess(t, model, data)
			id := first.submit(t, client.Submit{Input: "What is 2+2?"})
			must(t, model.Wait(t.Context(), 1))
			first.terminate(t)
			fiveDie(t, data, id)
			if tc.answered {
				close(release)
				over(t, model.URL())
			}

			second := startProcess(t, model, data)
			j := second.ended(t, id)
			got := string(j.State)
			if j.Error != nil {
				got += " " + j.Error.Code
			}
			if got != tc.want || len(model.Requests()) != 1 {
				t.Errorf("job = %s, the model was asked %d times; want %s, once", got, len(model.Requests()), tc.want)
			}
			second.nothingRuns(t)
		})
	}
}

// TestAnUpThatDiesOfAJobFiveTimes ends it at its sixth start: each is killed when it has taken the job over, whose command
// says nothing.
func TestAnUpThatDiesOfAJobFiveTimes(t *testing.T) {
	model, data := scripted.New(t), t.TempDir()
	dumb := script(t, `#!/bin/bash
[ "$1" = --version ] && { echo "2.1.330 (stand-in)"; exit 0; }
exec sleep 600
`)
	var id string
	for n := range 5 {
		up := startProcess(t, model, data, "SANDPIPER_CLAUDE="+dumb)
		if n == 0 {
			id = up.submit(t, client.Submit{Input: "What is 2+2?"})
		}
		eventually(t, "it has the job", func() bool {
			j, err := up.api.Job(t.Context(), id, 0)
			must(t, err)
			return j.State == client.Running && j.Attempt == int64(n+1)
		})
		up.kill(t)
	}
	last := startProcess(t, model, data, "SANDPIPER_CLAUDE="+dumb)
	j := last.ended(t, id)
	if j.State != client.Failed || j.Error.Code != "POISON_JOB" || j.Attempt > 6 {
		t.Errorf("job = %s %+v by attempt %d; want it failed as POISON_JOB", j.State, j.Error, j.Attempt)
	}
	last.nothingRuns(t)
}

// fiveDie has five workers claim the job, and die before they have read anything.
func fiveDie(t *testing.T, data, id string) {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(data, "sandpiper.db"), store.Options{})
	must(t, err)
	for n := 0; n <= 5; n++ { // the first takes up what was handed over, and the last finds the fifth dead
		c, err := s.Claim(t.Context(), store.Claim{JobID: id, Worker: "dying", Token: job.NewToken(), Lease: time.Second, TakeOver: true})
		must(t, err)
		if c.Poisoned != (n == 5) {
			t.Fatalf("after %d deaths: poisoned %v", n, c.Poisoned)
		}
		_, err = s.Beat(t.Context(), "dying", []job.Attempt{c.Attempt}, -time.Second)
		must(t, err)
	}
	must(t, s.Close())
}

// over waits until no prompt that asks the model at url is running: it has ended by itself.
func over(t *testing.T, url string) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for len(running(t, url)) > 0 {
		select {
		case <-look.C:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}
