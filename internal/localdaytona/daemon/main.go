package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Grace is how long the processes of a sandbox have between TERM and KILL when it stops.
const Grace = 3 * time.Second

// Tuning is the environment of a daemon's own process: it idles nearly always and must stay small. GORACE is read by
// binaries with the race detector only, which else sleep a second before they exit.
var Tuning = []string{"GOMAXPROCS=2", "GOGC=25", "GOMEMLIMIT=64MiB", "GORACE=atexit_sleep_ms=0"}

// Main is the whole life of a daemon: it serves the toolbox until it is told to stop. It answers the exit code.
func Main() int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := serve(log); err != nil {
		log.Error("daemon ended", "err", err)
		return 1
	}
	return 0
}

func serve(log *slog.Logger) error {
	c, listener, err := inherit()
	if err != nil {
		return err
	}
	if err := settle(c); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	listenToSignals(c, stop)
	r := newReaper(c.User)
	go r.Run(context.Background()) // until the process ends
	t, err := newToolbox(c, r, stop)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: t.Handler(), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("daemon serves", "sandboxId", c.ID, "contained", c.Contained)
	select {
	case err := <-served:
		return fmt.Errorf("serve the toolbox: %w", err)
	case <-ctx.Done():
	}
	endAll(t.everything, Grace)
	_ = server.Close() // followers drop, as on the platform
	log.Info("daemon stopped", "sandboxId", c.ID)
	return nil
}

// everything is every process of the sandbox but the daemon.
func (t *Toolbox) everything() []int { return Descendants(os.Getpid()) }

// inherit takes over the listener and the configuration.
func inherit() (Config, net.Listener, error) {
	f := os.NewFile(ConfigFD, "configuration")
	c, err := readConfig(f)
	if err != nil {
		return c, nil, err
	}
	f.Close()
	socket := os.NewFile(ListenerFD, "socket")
	defer socket.Close()
	listener, err := net.FileListener(socket)
	if err != nil {
		return c, nil, fmt.Errorf("take over the socket: %w", err)
	}
	return c, listener, nil
}

// settle makes the process what it is to be, before it starts or serves anything.
func settle(c Config) error {
	closeStrays()
	syscall.Umask(0o022)
	// When the whole machine is out of memory, what runs in a sandbox is to go first. Everything here inherits it.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0)
	// Nobody with the same user id may look into the daemon's memory or take its files (prctl(2), ptrace(2)).
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("close the daemon's memory: %w", err)
	}
	if !c.Contained {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("become a subreaper: %w", err)
		}
	}
	if c.User != nil {
		if err := syscall.Setgroups(nil); err != nil {
			return fmt.Errorf("give up groups: %w", err)
		}
	}
	return emptyFolder(c.Sessions)
}

// emptyFolder removes what an earlier daemon left: nobody can ask for its sessions any more.
func emptyFolder(dir string) error {
	left, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("open the sessions' folder: %w", err)
	}
	for _, e := range left {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("remove an old session: %w", err)
		}
	}
	return nil
}

// closeStrays closes files that the server itself was started with by mistake and passed on: a pipe among them would
// keep its reader waiting for the sandbox's end. The runtime's own files are all close-on-exec.
func closeStrays() {
	names, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return
	}
	for _, name := range names {
		fd, err := strconv.Atoi(filepath.Base(name))
		if err != nil || fd <= 2 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
}

// listenToSignals: a daemon that shares its user id with what runs in the sandbox must not be ended by it. As PID 1
// it cannot be killed from inside, but Go would act on most other signals, so all are caught. Without isolation, and
// where the daemon has a user id of its own, TERM is the machine's, or the platform's, order to stop.
func listenToSignals(c Config, stop func()) {
	all := make(chan os.Signal, 16)
	for n := syscall.Signal(1); n < 65; n++ {
		switch n {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPROF:
		default:
			signal.Notify(all, n)
		}
	}
	obeys := !c.Contained || c.User != nil
	go func() {
		for s := range all {
			if obeys && (s == syscall.SIGTERM || s == syscall.SIGINT) {
				stop()
			}
		}
	}()
}
