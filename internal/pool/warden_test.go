package pool_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/pool"
	"sandpiper/internal/store"
)

// warden is one whose clock is ahead.
func (r rig) warden(ahead time.Duration) *pool.Warden {
	return pool.NewWarden(r.pool, r.store, pool.WardenOptions{
		Holder: "w1", Now: func() time.Time { return time.Now().Add(ahead) },
	})
}

// late is a sandbox whose row says that it is gone, and that came to be on the platform all the same.
func (r rig) late(t *testing.T) string {
	t.Helper()
	id := r.stray(t, "inst_1")
	found, err := r.platform.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.AddSandbox(t.Context(), auth.User("user123"), job.Sandbox{ID: found.Name}); err != nil {
		t.Fatal(err)
	}
	if err := r.store.SandboxGone(t.Context(), found.Name, "nobody could make it"); err != nil {
		t.Fatal(err)
	}
	return id
}

// stray is a sandbox on the platform that no row knows, of an installation.
func (r rig) stray(t *testing.T, installation string) string {
	t.Helper()
	id := job.NewSandboxID()
	made, err := r.platform.Create(t.Context(), daytona.Create{
		Name: id, Snapshot: "s1", Labels: map[string]string{"sandpiper-installation": installation, "sandpiper-sandbox": id},
	})
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// has reports whether the platform has a sandbox that is not on its way out.
func (r rig) has(t *testing.T, id string) bool {
	t.Helper()
	found, err := r.platform.Get(t.Context(), id)
	if err != nil && !errors.Is(err, daytona.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil && found.State != daytona.StateDestroying && found.State != daytona.StateDestroyed
}

func turn(t *testing.T, role interface{ Turn(context.Context) error }) {
	t.Helper()
	if err := role.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestASandboxThatNoRowKnows any more is deleted at the second turn, if it is old enough and ours. One that never had a row here is
// left alone: it is that of another database, which is a copy of this one.
func TestASandboxThatNoRowKnows(t *testing.T) {
	r := newRig(t)
	sb := r.added(t)
	box, err := r.pool.Open(t.Context(), sb)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs, nobodys, copys := r.late(t), r.stray(t, "inst_2"), r.stray(t, ""), r.stray(t, "inst_1")
	young, old := r.warden(9*time.Minute), r.warden(11*time.Minute)
	turn(t, young)
	turn(t, young)
	if !r.has(t, ours) {
		t.Error("a young one was deleted")
	}
	turn(t, old)
	if !r.has(t, ours) {
		t.Error("it was deleted at the first turn of this warden")
	}
	turn(t, old)
	if r.has(t, ours) {
		t.Error("unknown twice and eleven minutes old, and it is still there")
	}
	for name, id := range map[string]string{"another installation's": theirs, "nobody's": nobodys, "a copy's": copys, "one with a row": box.PlatformID} {
		if !r.has(t, id) {
			t.Errorf("%s was deleted", name)
		}
	}
}

// TestASandboxThatThePlatformLost: its row says so, and the job that named it ends.
func TestASandboxThatThePlatformLost(t *testing.T) {
	r := newRig(t)
	kept, lost := r.added(t), r.added(t)
	for _, sb := range []job.Sandbox{kept, lost} {
		if _, err := r.pool.Open(t.Context(), sb); err != nil {
			t.Fatal(err)
		}
	}
	j := job.Job{ID: job.NewID(time.Now()), UserID: "user123", Spec: job.Spec{Input: "hi", SandboxID: lost.ID}.WithDefaults()}
	if _, _, err := r.store.Submit(t.Context(), auth.User("user123"), j, store.Key{}); err != nil {
		t.Fatal(err)
	}
	if err := r.platform.Delete(t.Context(), r.row(t, lost.ID).PlatformID); err != nil {
		t.Fatal(err)
	}
	turn(t, r.warden(0))
	if row := r.row(t, lost.ID); row.State != job.SandboxGone || !strings.Contains(row.Reason, "does not have it any more") {
		t.Errorf("the lost one's row = %+v", row)
	}
	if row := r.row(t, kept.ID); row.State != job.SandboxReady {
		t.Errorf("the other one's row = %+v", row)
	}
	_, err := r.store.Claim(t.Context(), store.Claim{JobID: j.ID, Worker: "w1", Token: "t", Lease: time.Minute})
	got, reading := r.store.Job(t.Context(), auth.User("user123"), j.ID)
	if !errors.Is(err, job.ErrNotClaimable) || reading != nil || got.State != job.Failed || got.Outcome.Failure.Code != job.SandboxDeleted {
		t.Errorf("claim = %v; job = %s %+v, want SANDBOX_DELETED", err, got.State, got.Outcome)
	}
}

// paths records what a client asks for.
type paths struct {
	mu  sync.Mutex
	all []string
}

func (p *paths) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.all = append(p.all, r.Method+" "+r.URL.Path)
	p.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

// TestASandboxAtWorkIsKeptAwake, and an idle one is left to fall asleep.
func TestASandboxAtWorkIsKeptAwake(t *testing.T) {
	r := newRig(t)
	asked := &paths{}
	r.platform = daytona.New(daytona.Options{URL: r.url, Key: "k", HTTP: &http.Client{Transport: asked}})
	r.pool = r.with(pool.Options{Key: "sk-1"})
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	busy, idle := r.added(t), r.added(t)
	for _, sb := range []job.Sandbox{busy, idle} {
		if _, err := r.pool.Open(t.Context(), sb); err != nil {
			t.Fatal(err)
		}
	}
	j := job.Job{ID: job.NewID(time.Now()), UserID: "user123", Spec: job.Spec{Input: "hi", SandboxID: busy.ID}.WithDefaults()}
	if _, _, err := r.store.Submit(t.Context(), auth.User("user123"), j, store.Key{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Claim(t.Context(), store.Claim{JobID: j.ID, Worker: "w1", Token: "t", Lease: time.Minute}); err != nil {
		t.Fatal(err)
	}
	turn(t, r.warden(0))
	touch := func(id string) string { return "POST /api/sandbox/" + r.row(t, id).PlatformID + "/last-activity" }
	if !slices.Contains(asked.all, touch(busy.ID)) || slices.Contains(asked.all, touch(idle.ID)) {
		t.Errorf("asked for %q; want activity of the busy one, %s, only", asked.all, r.row(t, busy.ID).PlatformID)
	}
}

// TestOneWardenTurns: the platform is compared with the rows once in a fleet.
func TestOneWardenTurns(t *testing.T) {
	r := newRig(t)
	if held, err := r.store.HoldTurn(t.Context(), "warden", "w2", time.Minute); err != nil || !held {
		t.Fatal(held, err)
	}
	stray := r.late(t)
	w := r.warden(time.Hour)
	turn(t, w)
	turn(t, w)
	if !r.has(t, stray) {
		t.Error("it is another's turn, and the sandbox was deleted")
	}
}
