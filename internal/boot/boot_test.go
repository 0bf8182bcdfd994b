package boot

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sandpiper/internal/config"
)

func TestMain(m *testing.M) {
	Helper()
	// A pool of go-redis that could not dial looks once a second whether it was closed (internal/pool/pool.go, tryDial).
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

func TestAPortInUseIsSaidInOneLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := load(t, "SANDPIPER_ADDR="+taken.Addr().String())
	_, err = Open(t.Context(), cfg, Options{})
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()+" is in use") || strings.Contains(err.Error(), "\n") {
		t.Errorf("Open = %v", err)
	}
	if lock, err := lockData(cfg.Data); err != nil { // nothing stayed open
		t.Errorf("the data directory is still locked: %v", err)
	} else if err := lock.release(); err != nil {
		t.Error(err)
	}
}

func load(t *testing.T, vars ...string) config.Config {
	t.Helper()
	cfg, err := config.Load(append([]string{"SANDPIPER_DATA=" + filepath.Join(t.TempDir(), "data")}, vars...), config.RoleUp)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestOneUpPerDataDirectory(t *testing.T) {
	dir := t.TempDir()
	first, err := lockData(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockData(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("the second lock: %v, want ErrInUse", err)
	}
	if err := first.release(); err != nil {
		t.Fatal(err)
	}
	again, err := lockData(dir)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	if err := again.release(); err != nil {
		t.Error(err)
	}
}

func TestAPickedPortIsKept(t *testing.T) {
	p := ports{kept{filepath.Join(t.TempDir(), "ports.json")}}
	addr := func() string {
		l, err := p.listen("daytona", "")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	first := addr()
	if again := addr(); again != first {
		t.Errorf("the second start is at %s, the first was at %s", again, first)
	}
	blocker, err := net.Listen("tcp", first)
	if err != nil {
		t.Fatal(err)
	}
	defer blocker.Close()
	if other := addr(); other == first {
		t.Error("two listen on one port")
	}
}

func TestAProcessIsMoreThanItsPid(t *testing.T) {
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := identify(cmd.Process.Pid)
	if err != nil || !p.alive() {
		t.Fatalf("identify = %+v, %v", p, err)
	}
	stranger := process{PID: p.PID, Start: p.Start + 1}
	if stranger.alive() {
		t.Error("a process that started at another time counts as the same")
	}
	if err := stranger.end(time.Second); err != nil || !p.alive() {
		t.Errorf("ending a process that is gone: %v; the stranger with its pid lives: %v", err, p.alive())
	}
	if err := p.end(time.Second); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil || p.alive() {
		t.Error("it was not ended")
	}
}

func TestTheModelOutlivesItsUpAndIsFoundAgain(t *testing.T) {
	data := t.TempDir()
	p := ports{kept{filepath.Join(data, "ports.json")}}
	first, err := startModel(data, "", p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := stopModel(data); err != nil {
			t.Error(err)
		}
	})
	if !answers(first.url()) {
		t.Fatalf("no answer from %s", first.url())
	}
	second, err := startModel(data, "", p)
	if err != nil || second.known != first.known {
		t.Errorf("found %+v (%v), want %+v", second.known, err, first.known)
	}
	if err := second.stop(); err != nil || first.alive() {
		t.Errorf("stop: %v; alive %v", err, first.alive())
	}
	third, err := startModel(data, "", p)
	if err != nil || third.Addr != first.Addr || third.PID == first.PID {
		t.Errorf("a new one is %+v (%v), want another process at %s", third.known, err, first.Addr)
	}
}

// answers asks until the process serves: its port is open before it is.
func answers(url string) bool {
	return waitFor(20*time.Second, func() bool {
		resp, err := http.Get(url)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		http.DefaultClient.CloseIdleConnections()
		return resp.StatusCode == http.StatusOK
	})
}

func TestStopOfNothing(t *testing.T) {
	s, err := Stop(t.Context(), t.TempDir())
	if err != nil || s != (Stopped{}) {
		t.Errorf("Stop = %+v, %v", s, err)
	}
}

// TestNothingIsLeftBehind: a house that ran and was left has no process, and its directory is free.
func TestNothingIsLeftBehind(t *testing.T) {
	claude := os.Getenv("SANDPIPER_CLAUDE")
	if claude == "" {
		t.Fatal("set SANDPIPER_CLAUDE, or run make test, which installs it")
	}
	cfg := load(t, "SANDPIPER_ADDR=127.0.0.1:0", "SANDPIPER_CLAUDE="+claude)
	h, err := Open(t.Context(), cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	model := h.model.process
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	if !answers(h.URL() + "/readyz") {
		t.Error("not ready")
	}
	stop()
	err = <-ended
	left, leaving := h.Leave(t.Context())
	if err := errors.Join(err, leaving, h.Close()); err != nil || left.Running != 0 {
		t.Errorf("left %+v: %v", left, err)
	}
	if model.alive() {
		t.Error("the offline model is still there")
	}
	if lock, err := lockData(cfg.Data); err != nil {
		t.Errorf("the data directory is still locked: %v", err)
	} else if err := lock.release(); err != nil {
		t.Error(err)
	}
}
