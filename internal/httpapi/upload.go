package httpapi

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

const (
	linesTogether = 500      // lines in one write
	linesMost     = 4 << 20  // bytes of input in one write, about
	steadyBytes   = 64 << 10 // that must come in bodyTimeout
)

// upload is a batch that comes in.
type upload struct {
	s      *Server
	skip   bool // leave bad lines out, instead of refusing the whole
	batch  job.Batch
	sum    hash.Hash // of the body
	intake intake
	faults []fault
	lines  []job.Line // not written yet
	size   int

	writing chan error // the end of the write that is under way; nil without one
	written []job.Line // what it writes
}

// run takes every line and completes the batch. What it returns as an error is no batch.
func (u *upload) run(c echo.Context, caller auth.Caller, next nextLine) (kept job.Batch, replayed bool, err error) {
	defer func() { err = errors.Join(err, u.settle()) }() // nothing writes after its end
	for {
		raw, err := next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = u.take(c, raw)
		}
		if err != nil {
			return kept, false, err
		}
	}
	if err := u.settle(); err != nil {
		return kept, false, err
	}
	switch {
	case u.intake.bad > 0 && !u.skip:
		return kept, false, badLines{u.faults}
	case u.intake.lines == 0 || u.intake.bad > 0 && u.batch.Accepted == 0 && len(u.lines) == 0:
		return kept, false, errors.Join(errBody, badLines{u.faults}, job.FieldError{Pointer: "", Must: "must hold at least one line that can be accepted"})
	}
	if err := errors.Join(u.flush(c), u.settle()); err != nil {
		return kept, false, err
	}
	u.batch.Rejected = u.intake.bad
	deed := fmt.Sprintf("batch, skip %v", u.skip)
	key, err := keyOf(c.Request().Header, caller, deed, u.sum.Sum(nil))
	if err != nil {
		return kept, false, err
	}
	return u.s.Batches.CompleteBatch(c.Request().Context(), u.batch, key)
}

// take takes one line. A bad one is noted.
func (u *upload) take(c echo.Context, raw rawLine) error {
	l, good, err := u.intake.take(raw)
	if err != nil || !good || u.intake.bad > 0 && !u.skip { // of the last, nothing will be kept
		return err
	}
	u.lines = append(u.lines, l)
	if u.size += len(l.Spec.Input) + 512; len(u.lines) == linesTogether || u.size > linesMost {
		return u.flush(c)
	}
	return nil
}

func (u *upload) note(f fault) {
	if len(u.faults) < maxFaults {
		u.faults = append(u.faults, f)
	}
}

// flush begins to write the lines that are there, once those before are written. The next ones are read meanwhile: the
// checks of one chunk and the database's work at another take about as long.
func (u *upload) flush(c echo.Context) error {
	if err := u.settle(); err != nil {
		return err
	}
	u.lines, u.written, u.size = u.written[:0], u.lines, 0
	ctx, end := c.Request().Context(), make(chan error, 1)
	u.writing = end
	go func() {
		defer func() {
			if r := recover(); r != nil { // of another goroutine than the request's, it would end the process
				end <- fmt.Errorf("%w: %v\n%s", errPanic, r, debug.Stack())
			}
		}()
		end <- u.s.Batches.AddLines(ctx, &u.batch, u.written)
	}()
	return nil
}

// settle waits for the write that is under way.
func (u *upload) settle() error {
	if u.writing == nil {
		return nil
	}
	err := <-u.writing
	u.writing = nil
	clear(u.written)
	return err
}

// badLines are the faults of a batch that is refused for them.
type badLines struct{ faults []fault }

func (b badLines) Error() string   { return fmt.Sprintf("bad lines: %d faults", len(b.faults)) }
func (b badLines) Is(e error) bool { return e == errBody }

// linesOf finds out who sends a batch, and how to read its lines.
func (s *Server) linesOf(c echo.Context, q *query, u *upload) (nextLine, auth.Caller, error) {
	u.sum = sha256.New()
	if isLines(c.Request()) {
		caller, err := q.ownCaller(c)
		return s.bodyLines(c, u.sum), caller, err
	}
	raw, err := s.body(c)
	if err != nil {
		return nil, auth.Caller{}, err
	}
	u.sum.Write(raw)
	o, err := parseObject(raw)
	if err != nil {
		return nil, auth.Caller{}, err
	}
	var list []json.RawMessage
	if o.has("userId") || !q.values.Has("userId") && identityOf(c).UserID == "" {
		q.values.Set("userId", o.userID(""))
		q.namedAt = inBody
	}
	if json.Unmarshal(o.take("lines"), &list) != nil || list == nil {
		o.fail("lines", `must be a list of {"custom_id", "input", …}`)
	}
	if err := o.done(); err != nil {
		return nil, auth.Caller{}, err
	}
	at := 0
	next := func() (rawLine, error) {
		if at == len(list) {
			return rawLine{}, io.EOF
		}
		at++
		return rawLine{number: at, text: list[at-1]}, nil
	}
	caller, err := q.ownCaller(c)
	return next, caller, err
}

// ownCaller is caller, for what must belong to a user.
func (q *query) ownCaller(c echo.Context) (auth.Caller, error) {
	if own := identityOf(c).UserID; own != "" && !q.values.Has("userId") {
		q.values.Set("userId", own) // an operator who names nobody sees all, and submits for themselves
	}
	caller, err := q.caller(c)
	if err == nil && caller.UserID == "" {
		q.fail("userId", "must name the user whose batch this is")
		err = q.done()
	}
	return caller, err
}

// onError takes what is to become of a batch with bad lines.
func (q *query) onError() string {
	how := q.values.Get("onError")
	if q.values.Has("onError") && how != "reject" && how != "skip" {
		q.fail("onError", `must be "reject", to accept nothing, or "skip", to leave bad lines out`)
	}
	return how
}

// bodyLines reads a body line by line.
func (s *Server) bodyLines(c echo.Context, sum hash.Hash) nextLine {
	hurry := http.NewResponseController(c.Response())
	return linesFrom(io.TeeReader(&steady{c.Request().Body, hurry, steadyBytes}, sum), s.o.MaxBody)
}

// steady is a body that may take as long as it likes, if only something comes all the time.
type steady struct {
	io.Reader
	hurry *http.ResponseController
	came  int // bytes since the deadline was moved
}

func (r *steady) Read(p []byte) (n int, err error) {
	if r.came >= steadyBytes {
		r.came = 0
		r.hurry.SetReadDeadline(time.Now().Add(bodyTimeout)) // these fail in tests without a connection
		r.hurry.SetWriteDeadline(time.Now().Add(writeTimeout))
	}
	n, err = r.Reader.Read(p)
	if r.came += n; err == io.EOF {
		r.hurry.SetReadDeadline(time.Time{})
	}
	return n, err
}
