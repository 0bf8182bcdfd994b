package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// Errors of this room. What they mean to a client stands in problems.
var (
	errHost       = errors.New("host not allowed")
	errOrigin     = errors.New("origin not allowed")
	errMediaType  = errors.New("body is not declared as JSON")
	errTooLarge   = errors.New("body over the limit")
	errIncomplete = errors.New("body ended early")
	errNotJSON    = errors.New("body is not JSON")
	errText       = errors.New("body is not valid text")
	errBody       = errors.New("body has bad values")
	errOption     = errors.New("option not available")
	errQuery      = errors.New("query has bad values")
	errKey        = errors.New("bad idempotency key")
	errUpgrade    = errors.New("not a WebSocket handshake")
	errNotCreated = errors.New("sandbox not created")
	errStreams    = errors.New("too many open streams")
	errAway       = errors.New("database away")
	errFull       = errors.New("database full")
	errPanic      = errors.New("panic")
)

// problems is the whole mapping from errors to what a client is told. The first match counts. What is not in it
// is our fault: a 500 whose text stays in the log.
var problems = []struct {
	err    error
	status int
	code   job.Code
	detail string
}{
	{errHost, http.StatusForbidden, job.HostNotAllowed, "The Host header does not name this server."},
	{errOrigin, http.StatusForbidden, job.OriginNotAllowed, "Web pages of this origin may not call this server."},
	{auth.ErrNone, http.StatusUnauthorized, job.CredentialMissing, "Send a key or a token, as Authorization: Bearer … or X-API-Key."},
	{auth.ErrExpired, http.StatusUnauthorized, job.CredentialExpired, "The token has expired. Get a new one."},
	{auth.ErrRefused, http.StatusUnauthorized, job.CredentialRefused, "The key or token is none that this server takes."},
	{auth.ErrScope, http.StatusForbidden, job.ScopeMissing, "The key or token lacks the scope that this route needs: see WWW-Authenticate."},
	{auth.ErrOtherUser, http.StatusForbidden, job.Forbidden, "The request names another user than the key or token is for."},
	{auth.ErrUnnamed, http.StatusForbidden, job.Forbidden, "The request names no user, and the key is a service's: it must say for whom it asks."},
	{errMediaType, http.StatusUnsupportedMediaType, job.UnsupportedMediaType, "Send the body as Content-Type: application/json, not compressed."},
	{errTooLarge, http.StatusRequestEntityTooLarge, job.BodyTooLarge, "The body is larger than this server takes."},
	{errIncomplete, http.StatusBadRequest, job.BodyIncomplete, "The body ended before it was complete, or came too slowly."},
	{errNotJSON, http.StatusBadRequest, job.NotJSON, "The body is not JSON."},
	{errText, http.StatusUnprocessableEntity, job.InvalidText, "The body holds text that is not valid Unicode."},
	{errOption, http.StatusUnprocessableEntity, job.OptionNotAvailable, "The body asks for an option that is not available yet."},
	{errBody, http.StatusUnprocessableEntity, job.InvalidRequest, "The body has fields that cannot be accepted."},
	{errQuery, http.StatusBadRequest, job.InvalidQuery, "The query has parameters that cannot be accepted."},
	{errKey, http.StatusBadRequest, job.InvalidIdempotencyKey, "Idempotency-Key must be one value of 1 to 255 visible ASCII characters."},
	{errUpgrade, http.StatusUpgradeRequired, job.UpgradeRequired, "Connect with a WebSocket client (version 13)."},
	{errStreams, http.StatusTooManyRequests, job.TooManyStreams, "Too many sockets, event streams and waiting requests are open. Close some, or come back after Retry-After seconds."},
	{errAway, http.StatusServiceUnavailable, job.DatabaseAway, "The database does not answer. Come back after Retry-After seconds; nothing was accepted."},
	{errFull, http.StatusInsufficientStorage, job.DatabaseFull, "The database has no room. Nothing was accepted; come back when there is room."},
	{errNotCreated, http.StatusBadGateway, job.SandboxNotCreated, "The sandbox could not be created. Trying again may help."},
	{job.ErrNotFound, http.StatusNotFound, job.JobNotFound, "There is no such job, or it is not yours."},
	{job.ErrSandboxNotFound, http.StatusNotFound, job.SandboxNotFound, "There is no such sandbox, or it is not yours."},
	{job.ErrLaneNotFound, http.StatusNotFound, job.LaneNotFound, "There is no such lane. GET /api/lanes lists them."},
	{job.ErrBatchNotFound, http.StatusNotFound, job.BatchNotFound, "There is no such batch, or it is not yours."},
	{job.ErrBatchDropped, http.StatusBadRequest, job.BodyIncomplete, "The body ended before it was complete, or came too slowly. Nothing of it was accepted."},
	{job.ErrSandboxBusy, http.StatusConflict, job.SandboxBusy, "A job runs in the sandbox. Cancel it or wait for its end, and ask again."},
	{job.ErrSandboxLimit, http.StatusConflict, job.SandboxLimit, "There are as many sandboxes as may be, and none of them is idle. Delete one, or wait for the end of a job, and ask again."},
	{job.ErrFinished, http.StatusConflict, job.JobFinished, "The job has ended; ended jobs never change."},
	{job.ErrUnfinished, http.StatusConflict, job.JobNotFinished, "The job has not ended. Wait for its end, or cancel it, and ask again."},
	{job.ErrKeyReused, http.StatusConflict, job.IdempotencyConflict, "This Idempotency-Key came with another body."},
	{job.ErrBadCursor, http.StatusBadRequest, job.InvalidCursor, "This is not a cursor of this stream or list."},
	{job.ErrForbidden, http.StatusForbidden, job.Forbidden, "You may not do this."},
	{echo.ErrNotFound, http.StatusNotFound, job.RouteNotFound, "There is nothing at this path."},
	{echo.ErrMethodNotAllowed, http.StatusMethodNotAllowed, job.MethodNotAllowed, "This path does not have this method."},
}

// problem is a problem document (RFC 9457). Its type is "about:blank", so title is the status; code says what
// went wrong, for machines, and never changes its meaning.
type problem struct {
	Type      string   `json:"type"`
	Title     string   `json:"title"`
	Status    int      `json:"status"`
	Detail    string   `json:"detail"`
	Code      job.Code `json:"code"`
	Errors    []fault  `json:"errors,omitempty"`
	JobID     string   `json:"jobId,omitempty"`     // what the key of a conflict made when it came first
	SandboxID string   `json:"sandboxId,omitempty"` // likewise
	BatchID   string   `json:"batchId,omitempty"`   // likewise
	RequestID string   `json:"requestId,omitempty"`
}

// fault is one thing that is wrong with a request, and where.
type fault struct {
	Pointer string   `json:"pointer"` // RFC 6901 into the body, "" for all of it; "?name" for a query parameter
	Detail  string   `json:"detail"`
	Code    job.Code `json:"code,omitempty"` // only where it says more than the problem's

	Line     int    `json:"line,omitempty"`     // of a batch, from 1; the pointer leads into it
	CustomID string `json:"customId,omitempty"` // of that line
}

// problemOf maps err. known is false for what is our fault.
func problemOf(err error) (p problem, known bool) {
	p = problem{
		Type: "about:blank", Status: http.StatusInternalServerError, Code: job.InternalError,
		Detail: "Something went wrong here. The server's log has more under this request id.",
	}
	for _, row := range problems {
		if errors.Is(err, row.err) {
			p.Status, p.Code, p.Detail, known = row.status, row.code, row.detail, true
			break
		}
	}
	switch {
	case known:
	case store.Full(err):
		p, known = problemOf(errFull)
	case store.Away(err):
		p, known = problemOf(errAway)
	}
	var reused job.KeyReused
	if errors.As(err, &reused) {
		p.JobID, p.SandboxID, p.BatchID = reused.JobID, reused.SandboxID, reused.BatchID
	}
	p.Errors = faultsOf(err)
	if !known && len(p.Errors) > 0 { // the rooms below join plain FieldErrors
		p.Status, p.Code, p.Detail, known = http.StatusUnprocessableEntity, job.InvalidRequest, "The body has fields that cannot be accepted.", true
	}
	p.Title = http.StatusText(p.Status)
	return p, known
}

// faultsOf finds every FieldError in a tree of joined and wrapped errors, in their order.
func faultsOf(err error) []fault {
	switch e := err.(type) {
	case nil:
		return nil
	case badLines:
		return e.faults
	case job.FieldError:
		return []fault{{Pointer: short(e.Pointer), Detail: e.Must}}
	case unavailable:
		return []fault{{Pointer: short(e.Pointer), Detail: e.Must, Code: job.OptionNotAvailable}}
	case interface{ Unwrap() []error }:
		var all []fault
		for _, inner := range e.Unwrap() {
			all = append(all, faultsOf(inner)...)
		}
		return all
	}
	return faultsOf(errors.Unwrap(err))
}

// short cuts a pointer that a client made long, so that an answer is not as long as its request.
func short(pointer string) string {
	if len(pointer) <= maxPointer {
		return pointer
	}
	return strings.ToValidUTF8(pointer[:maxPointer], "") + "…"
}

const maxPointer = 256 // bytes

// fail is echo's error handler: the one place where an error becomes an answer, and where it is logged.
func (s *Server) fail(err error, c echo.Context) {
	r := c.Request()
	p, known := problemOf(err)
	if !known {
		if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
			return // the client has gone; nobody reads an answer
		}
		s.log.ErrorContext(r.Context(), "request failed", "requestId", requestID(c), "method", r.Method, "route", c.Path(), "err", err)
	}
	if c.Response().Committed {
		return
	}
	p.RequestID = requestID(c)
	if p.Code == job.DatabaseAway {
		c.Response().Header().Set(echo.HeaderRetryAfter, "1")
	}
	drainBody(c)
	if err := writeProblem(c, p); err != nil {
		s.log.DebugContext(r.Context(), "problem not delivered", "requestId", p.RequestID, "err", err)
	}
}

func writeProblem(c echo.Context, p problem) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return c.Blob(p.Status, "application/problem+json", raw)
}
