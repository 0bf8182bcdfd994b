package pool_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/pool"
)

// TestIdleSandboxesAreDeleted, whoever of the fleet lives on: the process that gives one up may die before it is deleted.
func TestIdleSandboxesAreDeleted(t *testing.T) {
	r := newRig(t)
	sb := r.added(t)
	if _, err := r.pool.Open(t.Context(), sb); err != nil {
		t.Fatal(err)
	}
	there := r.row(t, sb.ID).PlatformID
	var reaped int
	reaper := func(holder string, idle time.Duration) *pool.Reaper {
		return pool.NewReaper(r.store, pool.ReaperOptions{Holder: holder, Idle: idle, Reaped: func(n int) { reaped += n }})
	}
	turn(t, reaper("w1", time.Hour))
	turn(t, reaper("w2", -time.Minute)) // w1 has the turn
	if got := r.row(t, sb.ID); got.State != job.SandboxReady || reaped != 0 {
		t.Errorf("a sandbox that was just made is %s, %d reaped", got.State, reaped)
	}
	turn(t, reaper("w1", -time.Minute))
	if got := r.row(t, sb.ID); got.State != job.SandboxCleanup || reaped != 1 || !r.has(t, there) {
		t.Errorf("after the reaper the row is %s, %d reaped; the platform has it: %v", got.State, reaped, r.has(t, there))
	}
	// w1 is dead, and the pool of w2 has never seen the sandbox.
	turn(t, pool.NewKeeper(r.with(pool.Options{Key: "sk-1"}), r.store, pool.KeeperOptions{Worker: "w2"}))
	if got := r.row(t, sb.ID); got.State != job.SandboxGone || r.has(t, there) {
		t.Errorf("after a keeper the row is %s; the platform has it: %v", got.State, r.has(t, there))
	}
}

// TestThePlatformDeletesNothingBeforeWeDo: its own clock is the second line, for when no worker is left.
func TestThePlatformDeletesNothingBeforeWeDo(t *testing.T) {
	r := newRig(t)
	asked := &bodies{}
	r.platform = daytona.New(daytona.Options{URL: r.url, Key: "k", HTTP: &http.Client{Transport: asked}})
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for idle, want := range map[time.Duration]string{0: "1440", time.Hour: "1440", 7 * 24 * time.Hour: "10080"} {
		asked.last = ""
		if _, err := r.with(pool.Options{Key: "sk-1", Idle: idle}).Open(t.Context(), r.added(t)); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{`"autoDeleteInterval":` + want, `"autoStopInterval":390`} {
			if !strings.Contains(asked.last, part) {
				t.Errorf("idle for %v: created with %s, want %s in it", idle, asked.last, part)
			}
		}
	}
}

// bodies records what a client creates a sandbox with.
type bodies struct{ last string }

func (b *bodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/sandbox") {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		b.last, r.Body = string(raw), io.NopCloser(bytes.NewReader(raw))
	}
	return http.DefaultTransport.RoundTrip(r)
}
