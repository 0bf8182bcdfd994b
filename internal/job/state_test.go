package job_test

import (
	"testing"

	"sandpiper/internal/job"
)

// allowed is the state machine once more, written out by hand: every other pair is forbidden.
var allowed = map[[2]job.State]bool{
	{job.Queued, job.Running}:         true, // claimed
	{job.Queued, job.Failed}:          true, // its sandbox was deleted
	{job.Queued, job.Cancelled}:       true,
	{job.Running, job.Queued}:         true, // retry
	{job.Running, job.Succeeded}:      true,
	{job.Running, job.Failed}:         true,
	{job.Running, job.Cancelled}:      true,
	{job.Running, job.OutcomeUnknown}: true,
}

func TestEveryPairOfStates(t *testing.T) {
	for _, from := range job.States {
		for _, to := range job.States {
			if got, want := from.CanBecome(to), allowed[[2]job.State{from, to}]; got != want {
				t.Errorf("%s → %s: %v, want %v", from, to, got, want)
			}
		}
	}
}

func TestTerminalStatesAreTheFourEnds(t *testing.T) {
	ends := map[job.State]bool{job.Succeeded: true, job.Failed: true, job.Cancelled: true, job.OutcomeUnknown: true}
	for _, s := range job.States {
		if s.Terminal() != ends[s] {
			t.Errorf("%s.Terminal() = %v, want %v", s, s.Terminal(), ends[s])
		}
	}
	if job.State("nonsense").Terminal() || job.State("nonsense").CanBecome(job.Queued) {
		t.Error("a word that is no state counts as one")
	}
}
