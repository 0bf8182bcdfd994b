package storetest

import (
	"reflect"
	"testing"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// same fails unless got equals want.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// picture is everything that can be seen of a job, without the times that only say when somebody looked.
type picture struct {
	Job     job.Job
	Events  []job.Event
	Sandbox job.Sandbox
	Run     *job.Run
}

// look takes the picture of a job that q has claimed, by asking for the claim again.
func look(t testing.TB, s *store.Store, q store.Claim) picture {
	t.Helper()
	c := claim(t, s, q)
	return picture{c.Job, Events(t, s, q.JobID), c.Sandbox, c.Run}
}

// seen takes the picture of a job in any state, without its run.
func seen(t testing.TB, s *store.Store, id string) picture {
	t.Helper()
	p := picture{Job: Read(t, s, id), Events: Events(t, s, id)}
	if p.Job.SandboxID != "" {
		p.Sandbox = box(t, s, p.Job.SandboxID)
	}
	return p
}
