package run_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"sandpiper/internal/job"
	"sandpiper/internal/run"
)

// small puts the box's home on a disk of one megabyte. Only root may; an ordinary user's box stays as it is, and the
// function says so.
func (b *box) small() bool {
	b.t.Helper()
	err := syscall.Mount("sandpiper-test", b.home, "tmpfs", 0, "size=1m")
	if errors.Is(err, syscall.EPERM) {
		b.t.Log("no small disk can be mounted here: checked is only that there is room taken for the exit code")
		return false
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		for _, pid := range b.processes() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		b.quiet()
		if err := syscall.Unmount(b.home, syscall.MNT_DETACH); err != nil {
			b.t.Error(err)
		}
	})
	for _, folder := range []string{"workspace", "notes"} {
		if err := os.Mkdir(filepath.Join(b.home, folder), 0o755); err != nil {
			b.t.Fatal(err)
		}
	}
	return true
}

func TestAFullDiskDoesNotLoseTheExitCode(t *testing.T) {
	b := newBox(t)
	fill := `cat /dev/zero > $HOME/fill`
	if !b.small() {
		fill = `stat -c %s ../.sandpiper/runs/*/exit.tmp >&2`
	}
	l := b.started(b.launch(`echo said; ` + fill + `; exit 7`))
	out, last := b.followed(l.RunID)
	if string(out) != "said\n" || !last.Ended || last.Exit != 7 {
		t.Errorf("followed %q, %+v", out, last)
	}
	t.Logf("the command said: %s", last.Stderr)
	if err := run.Stop(t.Context(), b, l.RunID, 1, 0); err != nil {
		t.Error(err)
	}
}

func TestAFullDiskStartsNothing(t *testing.T) {
	b := newBox(t)
	if !b.small() {
		return
	}
	l := b.launch(`:`)
	b.beforeExec = func() {
		f, err := os.Create(filepath.Join(b.home, "fill"))
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
	}
	if _, err := run.Start(t.Context(), b, l); !errors.Is(err, run.ErrBroken) {
		t.Errorf("Start: %v, want ErrBroken", err)
	}
	if e := b.looked(l.RunID, job.Intended); e.Kind != run.NeverLaunched || b.launches() != 0 {
		t.Errorf("Look = %s, %d launches", e.Kind, b.launches())
	}
}
