package pool_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/pool"
	"sandpiper/internal/store"
)

func (r rig) warmer(holder string, most int) *pool.Warmer {
	return pool.NewWarmer(r.store, r.pool.Fresh, pool.WarmerOptions{Holder: holder, Most: most})
}

func (r rig) keeper(worker string) *pool.Keeper {
	return pool.NewKeeper(r.pool, r.store, pool.KeeperOptions{Worker: worker})
}

// all are the rows of sandboxes that are not gone.
func (r rig) all(t *testing.T) []job.Sandbox {
	t.Helper()
	all, err := r.store.Sandboxes(t.Context(), auth.LocalOperator(), 100)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// only is the one sandbox that there is.
func (r rig) only(t *testing.T) job.Sandbox {
	t.Helper()
	all := r.all(t)
	if len(all) != 1 {
		t.Fatalf("there are %+v, want one", all)
	}
	return all[0]
}

// claimed gives a job of a user to a worker that has the pool.
func (r rig) claimed(t *testing.T, user string) store.Claimed {
	t.Helper()
	j := job.Job{ID: job.NewID(time.Now()), UserID: user, Spec: job.Spec{Input: "x"}.WithDefaults()}
	if _, _, err := r.store.Submit(t.Context(), auth.User(user), j, store.Key{}); err != nil {
		t.Fatal(err)
	}
	c, err := r.store.Claim(t.Context(), store.Claim{JobID: j.ID, Worker: "w1", Token: job.NewToken(), Lease: time.Hour, Fresh: r.pool.Fresh()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAWarmSandboxIsTakenAsItIs: nothing on the platform says whose it will be, and nothing has to be changed there.
func TestAWarmSandboxIsTakenAsItIs(t *testing.T) {
	r := newRig(t)
	turn(t, r.warmer("w1", 3))
	turn(t, r.warmer("w2", 0)) // w1 has the turn
	turn(t, r.keeper("w1"))
	sb := r.only(t)
	found, err := r.platform.Get(t.Context(), sb.PlatformID)
	if _, says := found.Env["USER_ID"]; err != nil || says || sb.State != job.SandboxReady || sb.UserID != "" || found.State != daytona.StateStarted {
		t.Errorf("row %+v, platform %+v, %v", sb, found, err)
	}
	c := r.claimed(t, "user123")
	if c.Sandbox.ID != sb.ID || c.Taken != store.TakenWarm {
		t.Errorf("the first job is in %s, which it came to by %q", c.Sandbox.ID, c.Taken)
	}
	if box, err := r.pool.Open(t.Context(), c.Sandbox); err != nil || box.PlatformID != found.ID {
		t.Errorf("opened %+v, %v; want %s", box, err, found.ID)
	}
	turn(t, r.warmer("w1", 3))
	turn(t, r.keeper("w2"))
	if all := r.all(t); len(all) != 2 || all[0].UserID != "" || all[0].State != job.SandboxReady {
		t.Errorf("there are %+v, want another warm one", all)
	}
}

// TestAnotherSnapshotReplacesWhatIsWarm: what was made from the one before is deleted, since no claim would take it.
func TestAnotherSnapshotReplacesWhatIsWarm(t *testing.T) {
	r := newRig(t)
	turn(t, r.warmer("w1", 1))
	turn(t, r.keeper("w1"))
	old := r.only(t)
	r.ask(t, "/snapshots", `{"name":"s2","imageName":"s1:local"}`)
	if err := r.platform.Activate(t.Context(), "s2"); err != nil {
		t.Fatal(err)
	}
	r.pool.Use("s2")
	turn(t, r.warmer("w1", 1))
	turn(t, r.keeper("w1"))
	if sb := r.only(t); sb.Snapshot != "s2" || sb.State != job.SandboxReady || r.has(t, old.PlatformID) {
		t.Errorf("there is %+v; the platform has the old one: %v", sb, r.has(t, old.PlatformID))
	}
}

// TestNobodyIsToldThatWarmSandboxesAreTooMany for the platform: the turn is none that failed, nothing is left of it, and a while
// goes by before the next.
func TestNobodyIsToldThatWarmSandboxesAreTooMany(t *testing.T) {
	r := newRig(t)
	full := &fullPlatform{}
	r.platform = daytona.New(daytona.Options{URL: r.url, Key: "k", HTTP: &http.Client{Transport: full}})
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	r.pool = r.with(pool.Options{Key: "sk-1"})
	turn(t, r.warmer("w1", 3))
	turn(t, r.keeper("w1"))
	turn(t, r.warmer("w1", 3))
	turn(t, r.keeper("w1"))
	if all := r.all(t); len(all) != 0 || full.asked.Load() != 1 {
		t.Errorf("there are %+v, and the platform was asked %d times, want once", all, full.asked.Load())
	}
}

// TestWhoDiesWhileASandboxIsMadeWarm leaves it to the next keeper, which finds it by its name.
func TestWhoDiesWhileASandboxIsMadeWarm(t *testing.T) {
	r := newRig(t)
	turn(t, r.warmer("w1", 1))
	taken, err := r.store.SandboxesToCreate(t.Context(), "w1", -time.Second, 8, job.Limits{}) // its lease is over
	if err != nil || len(taken) != 1 {
		t.Fatal(taken, err)
	}
	made, err := r.platform.Create(t.Context(), daytona.Create{
		Name: taken[0].ID, Snapshot: "s1", Labels: map[string]string{"sandpiper-installation": "inst_1", "sandpiper-fingerprint": taken[0].Fingerprint},
	})
	if err != nil {
		t.Fatal(err)
	}
	turn(t, r.warmer("w1", 1))
	turn(t, r.keeper("w2"))
	if sb := r.only(t); sb.State != job.SandboxReady || sb.PlatformID != made.ID {
		t.Errorf("row = %+v, want %s", sb, made.ID)
	}
	there, err := r.platform.List(t.Context(), nil)
	if err != nil || len(there) != 1 {
		t.Errorf("the platform has %+v, %v", there, err)
	}
}

// fullPlatform refuses every creation, as one whose quota is used up does.
type fullPlatform struct{ asked atomic.Int64 }

func (f *fullPlatform) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/sandbox") {
		return http.DefaultTransport.RoundTrip(r)
	}
	f.asked.Add(1)
	return &http.Response{
		StatusCode: http.StatusBadRequest, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"statusCode":400,"message":"Total CPU limit exceeded. Maximum allowed: 10."}`)),
	}, nil
}
