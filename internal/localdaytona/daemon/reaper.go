package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reaper starts every process of the daemon and does all the waiting. A PID 1 (or subreaper) has children that it
// never started; a second waiter beside this one, such as os/exec, would lose exit codes to it or hang.
type reaper struct {
	user   *User
	orders chan order // to the one thread that forks

	mu  sync.Mutex // held from fork to registration, and while waiting: no exit can be missed and no pid reused
	own map[int]*process
}

// order asks for one process.
type order struct {
	argv  []string
	attr  *syscall.ProcAttr
	reply chan<- started
}

type started struct {
	process *process
	err     error
}

// process is a child that the daemon started. It leads its own session and process group.
type process struct {
	reaper *reaper
	pid    int
	done   chan struct{}      // closed when it has been waited for
	status syscall.WaitStatus // valid after done
}

func newReaper(u *User) *reaper {
	return &reaper{user: u, orders: make(chan order), own: map[int]*process{}}
}

// Run starts what is ordered and waits for children, until ctx ends. Nothing can be started without it.
func (r *reaper) Run(ctx context.Context) {
	go r.fork(ctx)
	child := make(chan os.Signal, 1)
	signal.Notify(child, syscall.SIGCHLD)
	defer signal.Stop(child)
	for {
		r.reap()
		select {
		case <-ctx.Done():
			return
		case <-child:
		}
	}
}

// reap waits for everything that has ended. Signals coalesce, hence the loop.
func (r *reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
		if p := r.own[pid]; p != nil {
			delete(r.own, pid)
			p.status = status
			close(p.done)
		}
	}
}

// start runs argv in dir. files are its standard input, output and error; the caller keeps (and closes) its own.
func (r *reaper) start(argv []string, dir string, env []string, files [3]*os.File) (*process, error) {
	attr := &syscall.ProcAttr{
		Dir:   dir,
		Env:   env,
		Files: []uintptr{files[0].Fd(), files[1].Fd(), files[2].Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	if r.user != nil {
		attr.Sys.Credential = &syscall.Credential{Uid: uint32(r.user.UID), Gid: uint32(r.user.GID)}
	}
	reply := make(chan started, 1)
	r.orders <- order{argv, attr, reply}
	got := <-reply
	return got.process, got.err
}

// fork carries out orders on one thread of its own, because what a child inherits belongs to threads: there it gives
// up everything that a child must not have, once. The thread is never given back.
func (r *reaper) fork(ctx context.Context) {
	runtime.LockOSThread()
	err := errors.Join(disinherit(), confine())
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-r.orders:
			if err != nil {
				o.reply <- started{nil, err}
				continue
			}
			o.reply <- r.forkOne(o)
		}
	}
}

func (r *reaper) forkOne(o order) started {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(o.argv[0], o.argv, o.attr)
	if err != nil {
		return started{nil, err}
	}
	p := &process{reaper: r, pid: pid, done: make(chan struct{})}
	r.own[pid] = p
	return started{p, nil}
}

// disinherit empties the thread's inheritable (and so its ambient) capabilities: bubblewrap sets them for the daemon
// to survive its exec, and a child must not get them.
func disinherit() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if data[0].Inheritable|data[1].Inheritable == 0 {
		return nil
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("give up inheritable capabilities: %w", err)
	}
	return nil
}

// confine keeps what the thread starts from reaching out of the sandbox where namespaces do not help: the abstract
// unix sockets of the machine belong to its network, which is shared, and a signal needs no more than the same user id.
// Landlock closes both from Linux 6.12 on (landlock(7), ABI 6); before, and without no_new_privs, they stay open.
func confine() error {
	if n, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); n != 1 || err != nil {
		return nil
	}
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 || abi < 6 {
		return nil
	}
	rules := struct{ files, net, scoped uint64 }{scoped: unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), unsafe.Sizeof(rules), 0)
	if errno != 0 {
		return fmt.Errorf("make a landlock ruleset: %w", errno)
	}
	defer unix.Close(int(fd))
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return fmt.Errorf("restrict commands by landlock: %w", errno)
	}
	return nil
}

// signalGroup sends sig to p's process group, if p has not been waited for: its number cannot mean another then.
func (p *process) signalGroup(sig syscall.Signal) {
	p.reaper.mu.Lock()
	defer p.reaper.mu.Unlock()
	if p.reaper.own[p.pid] == p {
		_ = syscall.Kill(-p.pid, sig) // ESRCH: it has just ended, which is what was wanted
	}
}

// exitCode of an ended process; 128+n for signal n, as shells say it.
func (p *process) exitCode() int {
	if p.status.Signaled() {
		return 128 + int(p.status.Signal())
	}
	return p.status.ExitStatus()
}

// over reports whether p has ended and been waited for.
func (p *process) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
