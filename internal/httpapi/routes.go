package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// route is one line of the API. The page at / lists them.
type route struct {
	method, path string
	needs        auth.Scopes // what a credential must have, where keys are configured
	handle       echo.HandlerFunc
	what         string
}

const (
	batchesPath = "/api/batches"
	queuesPath  = "/ops/queues"
)

func (s *Server) routes() []route {
	if s.bare {
		return s.alwaysServed()
	}
	all := []route{
		{http.MethodPost, "/api/knowledge/process", auth.Jobs, s.process, `run a prompt: {"userId", "input", "sandboxId"?, "model"?, …}`},
		{http.MethodGet, "/api/jobs", auth.Jobs, s.jobs, "jobs, newest first: state, batchId, userId, limit, cursor"},
		{http.MethodGet, "/api/jobs/:id", auth.Jobs, s.job, "one job; ?wait=30s answers when it has ended"},
		{http.MethodGet, "/api/jobs/:id/events", auth.Jobs, s.events, "its events: after, limit; as a stream with Accept: text/event-stream"},
		{http.MethodPost, "/api/jobs/:id/cancel", auth.Jobs, s.cancel, "cancel it"},
		{http.MethodPost, "/api/jobs/:id/retry", auth.Jobs, s.retry, "run one that has ended again, as a new job"},
		{http.MethodPost, batchesPath, auth.Jobs, s.submitBatch, `run many: lines of {"custom_id", "input", …} as application/jsonl; userId, onError=reject|skip`},
		{http.MethodGet, "/api/batches/:id", auth.Jobs, s.batch, "one batch: its jobs by state, and what they cost"},
		{http.MethodGet, "/api/batches/:id/results", auth.Jobs, s.results, "a line for each of its jobs, in the order of its lines"},
		{http.MethodPost, "/api/batches/:id/cancel", auth.Jobs, s.cancelBatch, "cancel all its jobs"},
		{http.MethodPost, "/api/batches/:id/retry-failed", auth.Jobs, s.retryFailed, "run those that failed again, as a new batch"},
		{http.MethodPost, "/api/sandbox/create", auth.Jobs, s.createSandbox, `make a sandbox: {"userId"}`},
		{http.MethodGet, "/api/sandboxes", auth.Jobs, s.listSandboxes, "sandboxes"},
		{http.MethodDelete, "/api/sandboxes/:id", auth.Jobs, s.deleteSandbox, "delete one, with everything in it"},
		{http.MethodGet, "/api/lanes", auth.Ops, s.lanes, "the lanes to the models: which are open, and why not"},
		{http.MethodPost, "/api/lanes/:id/clear", auth.Ops, s.clearLane, "try a lane again that is parked or paused"},
		{http.MethodGet, "/ws", auth.Jobs, s.socket, "events over WebSocket: userId, jobId, batchId, after"},
	}
	for i := range all {
		all[i].handle = s.furnished(all[i].handle)
	}
	return append(all, s.alwaysServed()...)
}

// alwaysServed are the routes that need nothing but this process.
func (s *Server) alwaysServed() []route {
	all := []route{
		{http.MethodGet, "/healthz", open, s.healthz, "whether this process runs"},
		{http.MethodGet, "/readyz", open, s.readyz, "whether it can do its work"},
		{http.MethodGet, "/", open, s.index, "this page"},
	}
	if s.Queues != nil {
		pages := echo.WrapHandler(s.Queues)
		all = append(all,
			route{http.MethodGet, queuesPath, auth.Ops, pages, "the queues, to look at in a browser; a key is its password"},
			route{http.MethodGet, queuesPath + "/*", auth.Ops, pages, "what those pages load"})
	}
	if s.Metrics != nil {
		all = append(all, route{http.MethodGet, "/metrics", auth.Ops, echo.WrapHandler(s.Metrics), "figures for Prometheus"})
	}
	return all
}

func (s *Server) router() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.fail
	e.Pre(begin, s.access, s.recovering)
	if !s.bare {
		e.Pre(s.guard.wrap)
	}
	for _, r := range s.routes() {
		handle := s.admit(r.needs, r.handle)
		e.Add(r.method, r.path, handle)
		if r.method == http.MethodGet && r.path != "/ws" { // a handshake is not a page
			e.HEAD(r.path, handle)
		}
	}
	return e
}

// begin gives a request an id and its answer the headers that every answer has.
func begin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set(echo.HeaderXRequestID, job.NewToken())
		h.Set(echo.HeaderXContentTypeOptions, "nosniff")
		h.Set(echo.HeaderCacheControl, "no-store")
		return next(c)
	}
}

func requestID(c echo.Context) string { return c.Response().Header().Get(echo.HeaderXRequestID) }

// recovering turns a panic into an error that is logged with its stack, and the process goes on.
func (s *Server) recovering(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler: // asks for the connection to be cut
				panic(v)
			default:
				err = fmt.Errorf("%w: %v\n%s", errPanic, v, debug.Stack())
			}
		}()
		return next(c)
	}
}

// untilDrain gives a request a context that also ends, with CloseDraining as its cause, when the server does, and with
// CloseExpired when the token does: what stays open must not outlive it.
func (s *Server) untilDrain(c echo.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(c.Request().Context())
	stop := context.AfterFunc(s.draining, func() { cancel(context.Cause(s.draining)) })
	stopped := func(cause error) { stop(); cancel(cause) }
	expires := identityOf(c).Expires
	if expires.IsZero() {
		return ctx, stopped
	}
	end := time.AfterFunc(time.Until(expires), func() { cancel(CloseExpired) })
	return ctx, func(cause error) { end.Stop(); stopped(cause) }
}

// unlessExpired is err, or that the token's time was over before what should stay open was.
func unlessExpired(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), CloseExpired) {
		return auth.ErrExpired
	}
	return err
}

// index says what this is.
func (s *Server) index(c echo.Context) error {
	var b strings.Builder
	b.WriteString("Sandpiper runs Claude Code prompts as durable jobs in sandboxes.\n\n")
	for _, r := range s.routes() {
		fmt.Fprintf(&b, "%-5s %-30s %s\n", r.method, r.path, r.what)
	}
	return c.String(http.StatusOK, b.String())
}
