package httpapi

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/relay"
	"sandpiper/internal/store"
)

// Jobs takes submissions; *dispatch.Dispatcher does.
type Jobs interface {
	Submit(ctx context.Context, c auth.Caller, spec job.Spec, k store.Key) (j job.Job, replayed bool, err error)
	Cancel(ctx context.Context, c auth.Caller, id string) (job.Job, error)
	Retry(ctx context.Context, c auth.Caller, id string, k store.Key) (j job.Job, replayed bool, err error)
}

// Reads shows what is; *store.Store does.
type Reads interface {
	Job(ctx context.Context, c auth.Caller, id string) (job.Job, error)
	Progress(ctx context.Context, c auth.Caller, id string) (store.Progress, error)
	Jobs(ctx context.Context, c auth.Caller, f store.JobFilter) (items []job.Job, next string, err error)
	Events(ctx context.Context, c auth.Caller, jobID string, after int64, limit int) ([]job.Event, error)
	Batch(ctx context.Context, c auth.Caller, id string) (job.Batch, error)
	BatchJobs(ctx context.Context, c auth.Caller, id string, after store.ResultsAfter, limit int) (jobs []job.Job, next store.ResultsAfter, more bool, err error)
}

// Batches takes batches; dispatch.Uploader does.
type Batches interface {
	OpenBatch(ctx context.Context, c auth.Caller) (job.Batch, error)
	AddLines(ctx context.Context, b *job.Batch, lines []job.Line) error
	CompleteBatch(ctx context.Context, b job.Batch, k store.Key) (kept job.Batch, replayed bool, err error)
	DropBatch(ctx context.Context, id string) error
	CancelBatch(ctx context.Context, c auth.Caller, id string) error
	RetryFailed(ctx context.Context, c auth.Caller, id string, k store.Key) (b job.Batch, replayed bool, err error)
}

// Sandboxes adds and shows sandboxes; *store.Store does. A worker makes what was added.
type Sandboxes interface {
	AddSandboxOnce(ctx context.Context, c auth.Caller, sb job.Sandbox, k store.Key, l job.Limits) (kept job.Sandbox, first store.Answer, replayed bool, err error)
	KeepAnswer(ctx context.Context, tenant, userID string, k store.Key, a store.Answer) (store.Answer, error)
	Sandbox(ctx context.Context, c auth.Caller, id string) (job.Sandbox, error)
	Sandboxes(ctx context.Context, c auth.Caller, limit int) ([]job.Sandbox, error)
	DeleteSandbox(ctx context.Context, c auth.Caller, id, reason string) (job.Sandbox, error)
}

// Lanes shows and clears the lanes to the models; *store.Store does.
type Lanes interface {
	Lanes(ctx context.Context) ([]job.LaneView, error)
	ClearLane(ctx context.Context, id string) (job.Lane, error)
}

// Answers keeps what was answered to requests with a key that do no harm twice; *store.Store does.
type Answers interface {
	Answered(ctx context.Context, tenant, userID string, k store.Key) (store.Answer, error)
	AnswerOnce(ctx context.Context, tenant, userID string, k store.Key, jobID string, a store.Answer) (store.Answer, error)
}

// Deps are what a Server must have. Jobs, Batches, Reads, Sandboxes, Lanes, Answers and Relay, all of which need the database, may come later, by
// Furnish.
type Deps struct {
	Jobs      Jobs
	Batches   Batches
	Reads     Reads
	Sandboxes Sandboxes
	Lanes     Lanes
	Answers   Answers
	Relay     *relay.Relay // its Run is the caller's business

	Keys    *auth.Keyring // who may ask; nil means local mode: whoever is named, else the local operator
	Checks  []Check       // what /readyz looks at
	Metrics http.Handler  // serves /metrics; nil means that there is no such route
	Queues  http.Handler  // serves the pages at /ops/queues, which change nothing; nil likewise
	Watch   Watch         // hears of open streams; may be nil
}

// Options tune a Server. Zero values are good defaults.
type Options struct {
	MaxBody    int64         // bytes of a request's body; 0 means 8 MiB
	Hosts      []string      // names that Host may have besides loopback, with or without a port
	Origins    []string      // origins (scheme://host[:port]) of web pages that may call, besides loopback and the same host
	CreateWait time.Duration // how long sandbox/create waits before it answers 202; 0 means 30 s
	Limits     job.Limits    // of sandboxes
	Poll       time.Duration // how often a waiting request looks without news; 0 means 1 s
	Ping       time.Duration // between pings on WebSocket and SSE; 0 means 20 s
	WriteWait  time.Duration // how long one message may take to be written, besides its size; 0 means 10 s
	Drain      time.Duration // how long requests may take to finish when Run ends; 0 means 5 s
	Log        *slog.Logger  // nil means slog.Default()

	// How many WebSockets, event streams and waiting requests may be open together: of one caller (0 means 100),
	// and in all (0 means 2,000). One more is answered with 429.
	MaxStreamsPerCaller, MaxStreams int
}

func (o Options) withDefaults() Options {
	o.MaxBody = cmp.Or(o.MaxBody, 8<<20)
	o.CreateWait = cmp.Or(o.CreateWait, 30*time.Second)
	o.Poll = cmp.Or(o.Poll, time.Second)
	o.Ping = cmp.Or(o.Ping, 20*time.Second)
	o.WriteWait = cmp.Or(o.WriteWait, 10*time.Second)
	o.Drain = cmp.Or(o.Drain, 5*time.Second)
	o.MaxStreamsPerCaller = cmp.Or(o.MaxStreamsPerCaller, 100)
	o.MaxStreams = cmp.Or(o.MaxStreams, 2000)
	o.Log = cmp.Or(o.Log, slog.Default())
	return o
}

// Server serves the API. It is an http.Handler too, for tests.
type Server struct {
	Deps
	o     Options
	log   *slog.Logger
	guard guard
	echo  *echo.Echo
	bare  bool        // see NewProbes
	whole atomic.Bool // see Furnish

	draining context.Context // ends when Run does: long requests answer, sockets close
	drain    context.CancelCauseFunc
	streams  streams
}

// New makes a Server. Nothing runs until Run.
func New(d Deps, o Options) *Server { return newServer(d, o, false) }

func newServer(d Deps, o Options, bare bool) *Server {
	s := &Server{Deps: d, o: o.withDefaults(), bare: bare}
	s.whole.Store(d.Jobs != nil)
	s.log = s.o.Log
	s.guard = newGuard(s.o.Hosts, s.o.Origins, s.Keys != nil)
	s.draining, s.drain = context.WithCancelCause(context.Background())
	s.echo = s.router()
	return s
}

// ServeHTTP serves one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Run serves on ln until ctx ends. Then it takes no more connections, closes every socket with CloseDraining,
// answers the requests that wait, and gives the others a bounded time to finish. It closes ln.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	var unused fresh
	srv := &http.Server{
		Handler:           s,
		ConnState:         unused.note,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		WriteTimeout:      writeTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // what a client's broken connection says
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		s.drain(CloseDraining)
		srv.Close()
		s.streams.wait()
		return err
	case <-ctx.Done():
	}
	bound, stop := context.WithTimeout(context.WithoutCancel(ctx), s.o.Drain)
	defer stop()
	s.drain(CloseDraining)
	unused.close()
	if err := srv.Shutdown(bound); err != nil {
		s.log.WarnContext(ctx, "requests cut at shutdown", "err", err)
		srv.Close()
	}
	<-served
	s.streams.wait()
	return nil
}

// writeTimeout bounds one answer from its first byte read to its last byte written: more than the longest wait
// that a caller may ask for. Streams set their own bounds.
const writeTimeout = 5 * time.Minute
