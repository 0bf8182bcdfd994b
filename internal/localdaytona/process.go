package localdaytona

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sandpiper/internal/localdaytona/daemon"
)

// identity names a process for longer than its pid lives: a pid comes again, with another start time; a start time
// comes again after a reboot, with another boot id.
type identity struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // clock ticks since boot (proc(5), field 22)
	Boot  string `json:"boot"`
}

func identify(pid int) (identity, error) {
	start, err := startOf(pid)
	if err != nil {
		return identity{}, err
	}
	return identity{pid, start, bootID()}, nil
}

var errDead = errors.New("the process has ended")

// startOf is a living process's start time; a zombie is dead.
func startOf(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", errDead
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // from field 3
	if len(fields) < 20 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return "", errDead
	}
	return string(fields[19]), nil
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without one, pid and start time must do
	return strings.TrimSpace(string(b))
}

func (i identity) alive() bool {
	if i.PID == 0 || i.Boot != bootID() {
		return false
	}
	start, err := startOf(i.PID)
	return err == nil && start == i.Start
}

// end stops a sandbox's daemon and with it everything in the sandbox. It returns nil when nothing of it lives.
func (r *record) end(ctx context.Context, force bool) error {
	if err := r.Daemon.end(ctx, r, force); err != nil {
		return err
	}
	if !r.Contained {
		killMarked(r.ID) // a daemon that died by itself, and was not PID 1, has left its processes behind
	}
	removeGroups(r.Groups)
	return nil
}

// end asks the daemon first, unless force, and kills when it does not obey.
func (i identity) end(ctx context.Context, r *record, force bool) error {
	if !i.alive() {
		return nil
	}
	fd, err := unix.PidfdOpen(i.PID, 0)
	if err != nil {
		return ended(err)
	}
	defer unix.Close(fd)
	if !i.alive() { // between the look and the opening another process may have got the pid
		return nil
	}
	if !force && askToStop(ctx, r.dir) == nil && awaitEnd(ctx, fd, daemon.Grace+2*time.Second) {
		return nil
	}
	if !r.Contained {
		killBelow(i.PID)
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return ended(err)
	}
	if !awaitEnd(context.WithoutCancel(ctx), fd, 5*time.Second) {
		return fmt.Errorf("daemon %d survived a KILL", i.PID)
	}
	return nil
}

func ended(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return fmt.Errorf("end a daemon: %w", err)
}

// awaitEnd waits until the process of a pidfd has ended: it is readable then (pidfd_open(2)).
func awaitEnd(ctx context.Context, fd int, patience time.Duration) bool {
	for until := time.Now().Add(patience); time.Now().Before(until) && ctx.Err() == nil; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 50)
		if n > 0 {
			return true
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false
		}
	}
	return false
}

// askToStop makes the daemon's own call; the daemon answers and then ends everything.
func askToStop(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, dir) },
	}}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://sandbox"+daemon.StopPath, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(q)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// killBelow kills everything below a daemon that is not PID 1 of its own world, while it lives: as a subreaper it
// keeps the tree together, so a few rounds find even what forks meanwhile.
func killBelow(pid int) {
	for range 50 {
		below := daemon.Descendants(pid)
		if len(below) == 0 {
			return
		}
		for _, p := range below {
			_ = syscall.Kill(p, syscall.SIGKILL)
		}
	}
}

// killMarked kills the processes that have a sandbox's id in their environment.
func killMarked(id string) {
	mark := []byte("DAYTONA_SANDBOX_ID=" + id)
	for range 50 {
		found, _ := filepath.Glob("/proc/[0-9]*/environ")
		killed := false
		for _, path := range found {
			env, err := os.ReadFile(path)
			if err != nil || !slices.ContainsFunc(bytes.Split(env, []byte{0}), func(e []byte) bool { return bytes.Equal(e, mark) }) {
				continue
			}
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				killed = syscall.Kill(pid, syscall.SIGKILL) == nil || killed
			}
		}
		if !killed {
			return
		}
	}
}

// reapChild takes note of a child's end, so that it does not stay a zombie while the server lives. There is no waiting
// goroutine for each daemon, because daemons outlive what started them. It reports whether the child has ended.
func reapChild(pid int) bool {
	var status syscall.WaitStatus
	got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
	return got == pid || err == syscall.ECHILD
}
