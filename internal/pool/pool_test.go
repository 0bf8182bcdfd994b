package pool_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sandpiper/internal/auth"
	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/localdaytona"
	"sandpiper/internal/pool"
	"sandpiper/internal/store"
)

func TestMain(m *testing.M) {
	if localdaytona.IsDaemon() {
		os.Exit(localdaytona.DaemonMain())
	}
	goleak.VerifyTestMain(m)
}

// rig is a pool on a real local Daytona and a real store.
type rig struct {
	url      string // of the platform's API
	platform *daytona.Client
	store    *store.Store
	pool     *pool.Pool
}

func newRig(t *testing.T) rig {
	t.Helper()
	claude := filepath.Join(t.TempDir(), "claude")
	if err := os.WriteFile(claude, []byte("#!/bin/sh\necho '2.1.330 (stand-in)'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	server, err := localdaytona.New(localdaytona.Options{Dir: t.TempDir(), Key: "k", Claude: claude, Snapshot: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, ln) }()
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String() + "/api"
	platform := daytona.New(daytona.Options{URL: url, Key: "k"})
	t.Cleanup(func() {
		platform.Close()
		if err := errors.Join(server.StopAll(ctx), s.Close()); err != nil {
			t.Error(err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	r := rig{url: url, platform: platform, store: s}
	r.pool = r.with(pool.Options{Key: "sk-1"})
	return r
}

func (r rig) with(o pool.Options) *pool.Pool {
	o.Snapshot, o.Installation = "s1", "inst_1"
	return pool.New(r.platform, r.store, o)
}

// added is a row that waits to be made.
func (r rig) added(t *testing.T) job.Sandbox {
	t.Helper()
	sb, err := r.store.AddSandbox(t.Context(), auth.User("user123"), r.pool.Fresh())
	if err != nil {
		t.Fatal(err)
	}
	return sb
}

func (r rig) row(t *testing.T, id string) job.Sandbox {
	t.Helper()
	sb, err := r.store.Sandbox(t.Context(), auth.User("user123"), id)
	if err != nil {
		t.Fatal(err)
	}
	return sb
}

func echo(t *testing.T, b *pool.Box) {
	t.Helper()
	out, err := b.Exec(t.Context(), b.Session, "echo $USER_ID")
	if err != nil || out.Stdout != "user123\n" {
		t.Errorf("exec = %q, %v", out.Stdout, err)
	}
}

func TestTheKeeperMakesWhatWasAskedFor(t *testing.T) {
	r := newRig(t)
	sb := r.added(t)
	keeper := pool.NewKeeper(r.pool, r.store, pool.KeeperOptions{Worker: "w1"})
	if err := keeper.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	made := r.row(t, sb.ID)
	if made.State != job.SandboxReady || made.PlatformID == "" {
		t.Fatalf("row = %+v", made)
	}
	found, err := r.platform.Get(t.Context(), sb.ID) // by the name, which is our id
	if err != nil || found.ID != made.PlatformID || found.Labels["sandpiper-installation"] != "inst_1" {
		t.Errorf("platform has %+v, %v", found, err)
	}
	box, err := r.pool.Open(t.Context(), made)
	if err != nil {
		t.Fatal(err)
	}
	echo(t, box)
}

func TestACreationWhoseAnswerWasLostIsFoundByItsName(t *testing.T) {
	r := newRig(t)
	sb := r.added(t)
	first, err := r.platform.Create(t.Context(), daytona.Create{
		Name: sb.ID, Snapshot: "s1", Env: map[string]string{"USER_ID": "user123"},
		Labels: map[string]string{"sandpiper-installation": "inst_1", "sandpiper-fingerprint": "of another configuration"},
	})
	if err != nil {
		t.Fatal(err)
	}
	box, err := r.pool.Open(t.Context(), sb) // nobody told the row
	if err != nil || box.PlatformID != first.ID {
		t.Fatalf("opened %+v, %v; want %s", box, err, first.ID)
	}
	all, err := r.platform.List(t.Context(), nil)
	if err != nil || len(all) != 1 {
		t.Errorf("%d sandboxes, %v", len(all), err)
	}
	if row := r.row(t, sb.ID); row.Fingerprint != "of another configuration" {
		t.Errorf("its fingerprint is %q, want what it was made with", row.Fingerprint)
	}
	echo(t, box)
}

func TestWhoMakesASandboxSaysWhatItIsMadeOf(t *testing.T) {
	r := newRig(t)
	sb, err := r.store.AddSandbox(t.Context(), auth.User("user123"), job.Sandbox{ID: job.NewSandboxID()}) // as an API does
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.NewKeeper(r.pool, r.store, pool.KeeperOptions{Worker: "w1"}).Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := r.pool.Fresh()
	if row := r.row(t, sb.ID); row.State != job.SandboxReady || row.Snapshot != "s1" || row.Fingerprint != want.Fingerprint {
		t.Errorf("row = %+v, want the snapshot and the fingerprint of the pool, %s", row, want.Fingerprint)
	}
}

func TestASandboxOfAnotherDeploymentIsLeftAlone(t *testing.T) {
	r := newRig(t)
	sb := r.added(t)
	theirs, err := r.platform.Create(t.Context(), daytona.Create{
		Name: sb.ID, Snapshot: "s1", Labels: map[string]string{"sandpiper-installation": "inst_2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.pool.Open(t.Context(), sb); !errors.Is(err, pool.ErrForeign) {
		t.Errorf("Open: %v, want ErrForeign", err)
	}
	if err := r.pool.Delete(t.Context(), sb); err != nil {
		t.Errorf("Delete: %v, want success, for ours is not there", err)
	}
	if found, err := r.platform.Get(t.Context(), theirs.ID); err != nil || found.State != daytona.StateStarted {
		t.Errorf("theirs is %q, %v", found.State, err)
	}
}

// TestOneWorkerDeletes: two keepers look at the same time, and one of them asks the platform.
func TestOneWorkerDeletes(t *testing.T) {
	r := newRig(t)
	sb := r.added(t)
	if _, err := r.pool.Open(t.Context(), sb); err != nil {
		t.Fatal(err)
	}
	if err := r.store.SandboxCleanup(t.Context(), sb.ID, "test"); err != nil {
		t.Fatal(err)
	}
	if held, err := r.store.HoldTurn(t.Context(), "keeper", "w1", time.Minute); err != nil || !held {
		t.Fatal(held, err)
	}
	if err := pool.NewKeeper(r.pool, r.store, pool.KeeperOptions{Worker: "w2"}).Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if row := r.row(t, sb.ID); row.State != job.SandboxCleanup {
		t.Errorf("another worker's turn, and it was deleted: %+v", row)
	}
	if _, err := r.store.HandOver(t.Context(), "w1"); err != nil {
		t.Fatal(err)
	}
	if err := pool.NewKeeper(r.pool, r.store, pool.KeeperOptions{Worker: "w2"}).Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if row := r.row(t, sb.ID); row.State != job.SandboxGone {
		t.Errorf("w1 has handed its turn over, and it was not deleted: %+v", row)
	}
}

func TestASessionThatEndedIsMadeAgain(t *testing.T) {
	r := newRig(t)
	box, err := r.pool.Open(t.Context(), r.added(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := box.Toolbox.Exec(t.Context(), box.Session, "exit 3"); err != nil {
		t.Logf("exit: %v", err)
	}
	echo(t, box)
	if err := box.DeleteSession(t.Context(), box.Session); err != nil {
		t.Fatal(err)
	}
	echo(t, box)
}

func TestAStoppedSandboxIsStarted(t *testing.T) {
	r := newRig(t)
	sb := r.added(t)
	if _, err := r.pool.Open(t.Context(), sb); err != nil {
		t.Fatal(err)
	}
	if err := r.pool.Halt(t.Context(), r.row(t, sb.ID)); err != nil {
		t.Fatal(err)
	}
	box, err := r.pool.Open(t.Context(), r.row(t, sb.ID))
	if err != nil {
		t.Fatal(err)
	}
	echo(t, box)
}

func TestASandboxThatIsGoneIsSaidToBe(t *testing.T) {
	r := newRig(t)
	sb := r.added(t)
	if _, err := r.pool.Open(t.Context(), sb); err != nil {
		t.Fatal(err)
	}
	if err := r.pool.Delete(t.Context(), r.row(t, sb.ID)); err != nil {
		t.Fatal(err)
	}
	if row := r.row(t, sb.ID); row.State != job.SandboxGone {
		t.Errorf("row = %+v", row)
	}
	if _, err := r.pool.Open(t.Context(), r.row(t, sb.ID)); !errors.Is(err, daytona.ErrNotFound) {
		t.Errorf("Open = %v, want ErrNotFound", err)
	}
}

func TestAFingerprintTellsConfigurationsApart(t *testing.T) {
	r := newRig(t)
	same := r.with(pool.Options{Key: "sk-1"}).Fresh().Fingerprint
	if got := r.pool.Fresh().Fingerprint; got != same {
		t.Errorf("two pools of one configuration: %s and %s", got, same)
	}
	for name, o := range map[string]pool.Options{
		"another key":         {Key: "sk-2"},
		"another policy":      {Key: "sk-1", Policy: "p"},
		"another environment": {Key: "sk-1", Env: map[string]string{"A": "b"}},
	} {
		if r.with(o).Fresh().Fingerprint == same {
			t.Errorf("%s has the same fingerprint", name)
		}
	}
}

// ask sends the platform a request that no worker ever makes.
func (r rig) ask(t *testing.T, path, body string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer k")
	q.Header.Set("Content-Type", "application/json")
	defer http.DefaultClient.CloseIdleConnections()
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode > 299 {
		t.Fatalf("%s is answered with %s", path, answer.Status)
	}
}

// TestAnInactiveSnapshotIsActivated, and the sandbox made then.
func TestAnInactiveSnapshotIsActivated(t *testing.T) {
	r := newRig(t)
	r.ask(t, "/snapshots", `{"name":"s2","imageName":"s1:local"}`)
	if err := r.platform.Activate(t.Context(), "s2"); err != nil { // waits for a new one
		t.Fatal(err)
	}
	known, err := r.platform.Snapshot(t.Context(), "s2")
	if err != nil {
		t.Fatal(err)
	}
	r.ask(t, "/snapshots/"+known.ID+"/deactivate", "")
	p := pool.New(r.platform, r.store, pool.Options{Snapshot: "s2", Installation: "inst_1", Key: "sk-1"})
	sb, err := r.store.AddSandbox(t.Context(), auth.User("user123"), p.Fresh())
	if err != nil {
		t.Fatal(err)
	}
	box, err := p.Open(t.Context(), sb)
	if err != nil {
		t.Fatal(err)
	}
	echo(t, box)
}
