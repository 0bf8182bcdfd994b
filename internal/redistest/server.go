package redistest

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sandpiper/internal/containertest"
)

// Server is one redis-server. Without other options it keeps nothing on disk: a restart loses everything.
type Server struct {
	addr string
	how  speech
	body body
}

// body is what a server runs as: a process, or a container.
type body interface {
	begin(t testing.TB) // starts it; again too
	alive() bool        // it has not ended by itself
	kill()              // as kill -9 does; nothing if it does not run
	pause() error
	resume() error
	log() string
}

// Start runs a redis-server with further options, such as "--maxmemory-policy", "allkeys-lru", until t ends. It is a
// container where containertest has them.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	if containertest.Wanted(t) {
		return startContainer(t, options...)
	}
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

// start runs a process.
func start(t testing.TB, how speech, options ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	return open(t, how, options, func(addr string) body {
		_, number, _ := net.SplitHostPort(addr)
		return &process{dir: dir, args: append([]string{
			"--bind", "127.0.0.1", how.port, number, "--dir", dir, "--save", "", "--appendonly", "no", "--logfile", "log",
		}, slices.Concat(how.more, options)...)}
	})
}

// open tries another port when somebody took the free one meanwhile.
func open(t testing.TB, how speech, options []string, at func(addr string) body) *Server {
	t.Helper()
	if i := slices.Index(options, "--requirepass"); i >= 0 {
		how.client.Password = options[i+1]
	}
	s := &Server{how: how}
	t.Cleanup(s.kill)
	for range 3 {
		s.kill()
		s.addr = free(t)
		s.body = at(s.addr)
		if s.run(t) {
			return s
		}
	}
	t.Fatalf("redis-server does not start with %v:\n%s", options, s.body.log())
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
		t.Fatalf("redis-server does not start again:\n%s", s.body.log())
	}
}

// Pause freezes the server: it accepts connections, as the kernel does that, and says nothing.
func (s *Server) Pause(t testing.TB) { t.Helper(); done(t, "pause", s.body.pause()) }

// Resume undoes Pause. What was asked meanwhile is answered then.
func (s *Server) Resume(t testing.TB) { t.Helper(); done(t, "resume", s.body.resume()) }

// Do sends one command and returns its reply.
func (s *Server) Do(t testing.TB, command ...any) any {
	t.Helper()
	reply, err := s.do(t.Context(), command...)
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatalf("%v: %v", command, err)
	}
	return reply
}

// Try is Do where the server may be away, or end the connection: one that becomes a master does.
func (s *Server) Try(ctx context.Context, command ...any) (any, error) { return s.do(ctx, command...) }

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

// run starts the server and waits until it answers. It reports false when it ended instead.
func (s *Server) run(t testing.TB) bool {
	t.Helper()
	s.body.begin(t)
	up := false
	wait(t, "redis-server answers", func() bool {
		if !s.body.alive() {
			return true
		}
		_, err := s.do(t.Context(), "ping")
		up = err == nil
		return up
	})
	return up
}

func (s *Server) kill() {
	if s.body != nil {
		s.body.kill()
	}
}

func done(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s redis-server: %v", what, err)
	}
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
	for limit := time.Now().Add(2 * time.Minute); !so(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("waited too long until %s", what)
		}
	}
}
