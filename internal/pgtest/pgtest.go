// Package pgtest gives tests a real Postgres: a server of their own, started for the first test of a binary that asks
// for one and ended with it, and in it an empty database for each.
//
// The server is Debian's, of whatever version is installed. It does not wait for the disk, because nobody pulls the plug
// of a test; a test about that asks for a Durable server.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sandpiper/internal/containertest"
)

var (
	shared     *Server
	sharedOnce sync.Once
	sharedErr  error
	databases  atomic.Int64

	pristine atomic.Pointer[string] // where the shared server's files are, as they were at first; nil: nowhere
)

// URL is an empty database of the test's own, on the server that the tests of this binary share.
func URL(t testing.TB) string {
	t.Helper()
	return Shared(t).Database(t)
}

// Shared is the server that the tests of this binary share, a container where containertest has them. No test may stop it.
func Shared(t testing.TB) *Server {
	t.Helper()
	contained := containertest.Wanted(t)
	sharedOnce.Do(func() {
		settings := []string{"fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0", "autovacuum=off"}
		if contained {
			shared, sharedErr = startContainer(settings...)
		} else {
			shared, sharedErr = start(os.TempDir(), true, settings...)
		}
	})
	if sharedErr != nil {
		t.Fatal(sharedErr)
	}
	return shared
}

// Tests are the tests of a package that uses URL: the shared server ends after them. A TestMain runs them, or has them
// run by goleak.VerifyTestMain.
type Tests struct{ *testing.M }

// Run runs the tests and ends the server.
func (t Tests) Run() int {
	code := t.M.Run()
	if shared != nil {
		if err := shared.remove(); err != nil {
			fmt.Fprintln(os.Stderr, "remove the tests' Postgres:", err)
		}
	}
	return code
}

// New starts a server for one test, which may stop it and start it again. settings are "name=value".
func New(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := start(os.TempDir(), false, settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.remove(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// remove ends the server and throws away what it has.
func (s *Server) remove() error {
	if s.container != nil {
		s.hangUp()
		return s.container.Remove()
	}
	_ = s.stop(syscall.SIGQUIT) // its files are thrown away
	return os.RemoveAll(s.dir)
}

// Server is a Postgres server on a port of loopback.
type Server struct {
	dir      string
	port     int
	settings []string

	container containertest.Server // of the shared one, where there are containers; then there is no cmd

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended

	templates sync.Map // :: name of a database that is copied → func() error, which makes it once

	admin     sync.Mutex // held while a database is made or dropped
	adminConn *pgx.Conn  // nil before the first one, and after an error
}

// start starts a new server. It keeps a copy of its files as they are at first, where others are to be made of it.
func start(temp string, keep bool, settings ...string) (*Server, error) {
	dir, err := os.MkdirTemp(temp, "pgtest-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, settings: settings}
	if err := s.init(keep); err != nil {
		return nil, errors.Join(fmt.Errorf("start postgres: %w", err), os.RemoveAll(dir))
	}
	return s, nil
}

func (s *Server) init(keep bool) (err error) {
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	if from := pristine.Load(); from != nil {
		err = copied(*from, data)
	} else {
		err = initdb(data)
	}
	if err == nil && keep {
		to := filepath.Join(s.dir, "pristine")
		if err = copied(data, to); err == nil {
			pristine.Store(&to)
		}
	}
	if err != nil {
		return err
	}
	if s.port, err = freePort(); err != nil {
		return err
	}
	return s.Start()
}

// initdb makes the files of a new server in the folder data.
func initdb(data string) error {
	who, err := owner()
	if err != nil {
		return err
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	if who != nil {
		if err := os.Chown(data, int(who.Uid), int(who.Gid)); err != nil {
			return err
		}
	}
	program, err := Program("initdb")
	if err != nil {
		return err
	}
	cmd := exec.Command(program, "-D", data, "-U", "sandpiper", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	cmd.SysProcAttr, cmd.Dir = &syscall.SysProcAttr{Credential: who}, "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// copied copies the files of a server that does not run. It takes a fifteenth of what initdb does.
func copied(from, to string) error {
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the files of a server: %w\n%s", err, out)
	}
	return nil
}

// owner is who the server runs as: it refuses to be root. nil is whoever we are.
func owner() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.Atoi(u.Uid)
			gid, _ := strconv.Atoi(u.Gid)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("there is no user that could run it")
}

// Program finds a program of the server, which Debian keeps out of the PATH.
func Program(name string) (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) > 0 {
		slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
		return found[len(found)-1], nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("postgres is not installed (scripts/need.sh does it): %w", err)
	}
	return path, nil
}

func version(path string) int {
	n, _ := strconv.Atoi(strings.Split(path, "/")[4])
	return n
}

// Start starts a server that was stopped, on the same port, and waits until it answers.
func (s *Server) Start() error {
	postgres, err := Program("postgres")
	if err != nil {
		return err
	}
	who, err := owner()
	if err != nil {
		return err
	}
	args := []string{
		"-D", filepath.Join(s.dir, "data"), "-h", "127.0.0.1", "-p", strconv.Itoa(s.port),
		"-c", "unix_socket_directories=", "-c", "max_connections=200", "-c", "shared_buffers=64MB",
	}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(postgres, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	// A test binary that is killed takes the server along.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who, Pdeathsig: syscall.SIGQUIT, Setpgid: true}
	begun, done := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the death signal is that of the thread that started it
		err := cmd.Start()
		begun <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(done)
	}()
	if err := <-begun; err != nil {
		return err
	}
	s.mu.Lock()
	s.cmd, s.done = cmd, done
	s.mu.Unlock()
	return s.ready(done, func() string {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return string(log)
	})
}

// ready waits until the server answers.
func (s *Server) ready(done <-chan struct{}, said func() string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-done:
			return fmt.Errorf("the server has ended:\n%s", said())
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w\n%s", err, said())
		}
	}
}

// Stop ends the server as a restart does: sessions are cut off, what was committed is kept.
func (s *Server) Stop() error { return s.stop(syscall.SIGINT) }

// Kill ends the server as a crash does.
func (s *Server) Kill() error { return s.stop(syscall.SIGQUIT) }

func (s *Server) stop(sig syscall.Signal) error {
	s.hangUp()
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.cmd = nil
	s.mu.Unlock()
	if cmd == nil {
		return nil
	}
	err := cmd.Process.Signal(sig)
	<-done
	return err
}

// Pause lets the server's main process and every session of it hang, as a machine does that has stopped; Resume ends
// that.
func (s *Server) Pause() error  { return s.signal(syscall.SIGSTOP) }
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return errors.New("the server is not running")
	}
	var errs []error
	for _, pid := range append(children(s.cmd.Process.Pid), s.cmd.Process.Pid) {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// children are the sessions and helpers of the server.
func children(pid int) (all []int) {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, field := range strings.Fields(string(raw)) {
		if child, err := strconv.Atoi(field); err == nil {
			all = append(all, child)
		}
	}
	return all
}

// Log is what the server has written since it was made.
func (s *Server) Log() ([]byte, error) { return os.ReadFile(filepath.Join(s.dir, "log")) }

// Port is where the server listens.
func (s *Server) Port() int { return s.port }

// Database makes an empty database and drops it after the test.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	return s.database(t, "template1")
}

// Copy makes a copy of the database name, which prepare has made of an empty one, and drops it after the test. prepare
// runs once for each server and name, and leaves no connection open.
func (s *Server) Copy(t testing.TB, name string, prepare func(url string) error) string {
	t.Helper()
	made, _ := s.templates.LoadOrStore(name, sync.OnceValue(func() error {
		if err := s.exec(context.Background(), `CREATE DATABASE `+name); err != nil {
			return err
		}
		return prepare(s.url(name))
	}))
	if err := made.(func() error)(); err != nil {
		t.Fatalf("prepare a database: %v", err)
	}
	return s.database(t, name)
}

func (s *Server) database(t testing.TB, template string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", databases.Add(1))
	// By files: through the log, as is usual, it takes three times as long.
	if err := s.exec(t.Context(), `CREATE DATABASE `+name+` TEMPLATE `+template+` STRATEGY file_copy`); err != nil {
		t.Fatalf("create a database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = s.exec(ctx, `DROP DATABASE `+name+` WITH (FORCE)`) // a test may have stopped the server
	})
	return s.url(name)
}

// exec runs SQL that is no database's, over a connection that is kept: most of what a new one costs is a process.
func (s *Server) exec(ctx context.Context, query string) (err error) {
	s.admin.Lock()
	defer s.admin.Unlock()
	if s.adminConn == nil || s.adminConn.IsClosed() {
		if s.adminConn, err = pgx.Connect(ctx, s.url("postgres")); err != nil {
			s.adminConn = nil
			return err
		}
	}
	_, err = s.adminConn.Exec(ctx, query)
	return err
}

// hangUp closes the connection that is kept. The server may be silent, or about to end.
func (s *Server) hangUp() {
	s.admin.Lock()
	defer s.admin.Unlock()
	if s.adminConn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.adminConn.Close(ctx)
		s.adminConn = nil
	}
}

// Exec runs SQL in the database at url, over a connection of its own.
func Exec(ctx context.Context, url, query string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, query)
	return errors.Join(err, conn.Close(ctx))
}

func (s *Server) url(database string) string {
	return fmt.Sprintf("postgres://sandpiper@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}
