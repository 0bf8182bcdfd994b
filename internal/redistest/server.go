package redistest

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sandpiper/internal/mortal"
)

// Server is one redis-server. Without other options it keeps nothing on disk: a restart loses everything.
type Server struct {
	addr    string
	dir     string
	args    []string
	how     speech
	process *os.Process
	ended   chan struct{} // closed when process has ended
}

// Start runs a redis-server with further options, such as "--maxmemory-policy", "allkeys-lru", until t ends.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	return start(t, plain, options...)
}

// speech is how servers and clients speak: plainly, or with TLS.
type speech struct {
	scheme string
	port   string        // the option that takes the port
	more   []string      // further options of a server
	client redis.Options // of the client that asks it
	ca     string        // the file of the certificate that a client must trust
}

var plain = speech{scheme: "redis://", port: "--port"}

// start tries another port when somebody took the free one meanwhile.
func start(t testing.TB, how speech, options ...string) *Server {
	t.Helper()
	if i := slices.Index(options, "--requirepass"); i >= 0 {
		how.client.Password = options[i+1]
	}
	s := &Server{dir: t.TempDir(), how: how}
	t.Cleanup(s.kill)
	for range 3 {
		s.addr = free(t)
		_, number, _ := net.SplitHostPort(s.addr)
		s.args = append([]string{
			"--bind", "127.0.0.1", how.port, number, "--dir", s.dir, "--save", "", "--appendonly", "no", "--logfile", "log",
		}, slices.Concat(how.more, options)...)
		if s.run(t) {
			return s
		}
	}
	t.Fatalf("redis-server does not start with %v:\n%s", s.args, s.log())
	panic("unreachable")
}

// Addr is HOST:PORT.
func (s *Server) Addr() string { return s.addr }

// URL is what REDIS_URL would be, without a password and without a word on whom to trust.
func (s *Server) URL() string { return s.how.scheme + s.addr }

// Stop ends the server as kill -9 does.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.kill()
}

// Restart stops the server, unless it is stopped, and starts it on the same port.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.kill()
	if !s.run(t) {
		t.Fatalf("redis-server does not start again:\n%s", s.log())
	}
}

// Pause freezes the server: it accepts connections, as the kernel does that, and says nothing.
func (s *Server) Pause(t testing.TB) { s.signal(t, syscall.SIGSTOP) }

// Resume undoes Pause. What was asked meanwhile is answered then.
func (s *Server) Resume(t testing.TB) { s.signal(t, syscall.SIGCONT) }

// Do sends one command and returns its reply.
func (s *Server) Do(t testing.TB, command ...any) any {
	t.Helper()
	reply, err := s.do(t.Context(), command...)
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatalf("%v: %v", command, err)
	}
	return reply
}

// Flush deletes everything.
func (s *Server) Flush(t testing.TB) {
	t.Helper()
	s.Do(t, "flushall")
}

func (s *Server) do(ctx context.Context, command ...any) (any, error) {
	o := s.how.client
	o.Addr, o.Protocol, o.MaxRetries, o.DialerRetries, o.DisableIdentity = s.addr, 2, -1, 1, true
	c := redis.NewClient(&o)
	defer c.Close()
	return c.Do(ctx, command...).Result()
}

// run starts the process and waits until it answers. It reports false when it ended instead.
func (s *Server) run(t testing.TB) bool {
	t.Helper()
	cmd := exec.Command("redis-server", s.args...)
	release, err := mortal.Start(cmd)
	if err != nil {
		t.Fatalf("start redis-server (scripts/need.sh installs it): %v", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // killed, as a rule
		release()
	}()
	s.process, s.ended = cmd.Process, ended
	up := false
	wait(t, "redis-server answers", func() bool {
		select {
		case <-ended:
			return true
		default:
		}
		_, err := s.do(t.Context(), "ping")
		up = err == nil
		return up
	})
	return up
}

func (s *Server) kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Kill() // it may have ended
	<-s.ended
}

func (s *Server) signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := s.process.Signal(sig); err != nil {
		t.Fatalf("send %v to redis-server: %v", sig, err)
	}
}

func (s *Server) log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// free is a port of loopback that nobody listens at.
func free(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// wait asks until it is so.
func wait(t testing.TB, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(30 * time.Second); !so(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("waited too long until %s", what)
		}
	}
}
