package pool_test

import (
	"testing"

	"sandpiper/internal/auth"
	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/pool"
)

// TestTheCurrentSnapshotIsFollowed while a worker runs, for sandboxes of jobs and for those that somebody asks for.
func TestTheCurrentSnapshotIsFollowed(t *testing.T) {
	r := newRig(t)
	if _, err := r.platform.BuildSnapshot(t.Context(), daytona.Build{Name: "s2", Dockerfile: "FROM s1:local\n"}); err != nil {
		t.Fatal(err)
	}
	if err := r.platform.Activate(t.Context(), "s2"); err != nil { // waits until it is built
		t.Fatal(err)
	}
	f := pool.NewFollower(r.pool, r.store, pool.FollowerOptions{})
	was := r.pool.Fresh()
	look := func(want string) {
		t.Helper()
		if err := f.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.pool.Fresh().Snapshot; got != want {
			t.Errorf("sandboxes are made from %q, want %q", got, want)
		}
	}
	look("s1") // none is known: what the pool was told
	if err := r.store.SetSnapshot(t.Context(), "s2"); err != nil {
		t.Fatal(err)
	}
	look("s2")
	if now := r.pool.Fresh(); now.Fingerprint == was.Fingerprint {
		t.Error("a sandbox of the one before would be used again")
	}
	sb, err := r.store.AddSandbox(t.Context(), auth.User("ann"), job.Sandbox{ID: job.NewSandboxID()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.pool.Open(t.Context(), sb); err != nil {
		t.Fatal(err)
	}
	made, err := r.platform.Get(t.Context(), sb.ID)
	if err != nil || made.Snapshot != "s2" {
		t.Errorf("what was asked for is made from %q, %v; want s2", made.Snapshot, err)
	}
}
