package httpapi

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

const (
	linesTogether = 500       // lines in one write
	linesMost     = 4 << 20   // bytes of input in one write, about
	maxLines      = 1_000_000 // of one batch
	maxCustomID   = 256       // bytes
	steadyBytes   = 64 << 10  // that must come in bodyTimeout
)

// upload is a batch that comes in.
type upload struct {
	s      *Server
	skip   bool // leave bad lines out, instead of refusing the whole
	batch  job.Batch
	sum    hash.Hash        // of the body
	seen   map[[16]byte]int // :: hash of a custom_id → its line. The ids themselves would take much more room
	line   int              // number of the newest, from 1
	bad    int64
	faults []fault
	lines  []job.Line // not written yet
	size   int
}

// run takes every line and completes the batch. What it returns as an error is no batch.
func (u *upload) run(c echo.Context, caller auth.Caller, next nextLine) (kept job.Batch, replayed bool, err error) {
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
	switch {
	case u.bad > 0 && !u.skip:
		return kept, false, badLines{u.faults}
	case u.line == 0 || u.bad > 0 && u.batch.Accepted == 0 && len(u.lines) == 0:
		return kept, false, errors.Join(errBody, badLines{u.faults}, job.FieldError{Pointer: "", Must: "must hold at least one line that can be accepted"})
	}
	if err := u.flush(c); err != nil {
		return kept, false, err
	}
	u.batch.Rejected = u.bad
	deed := fmt.Sprintf("batch, skip %v", u.skip)
	key, err := keyOf(c.Request().Header, caller, deed, u.sum.Sum(nil))
	if err != nil {
		return kept, false, err
	}
	return u.s.Batches.CompleteBatch(c.Request().Context(), u.batch, key)
}

// take takes one line. A bad one is noted.
func (u *upload) take(c echo.Context, raw rawLine) error {
	if u.line++; u.line > maxLines {
		return errors.Join(errTooLarge, job.FieldError{Pointer: "", Must: fmt.Sprintf("must be at most %d lines", maxLines)})
	}
	l, err := job.Line{}, raw.err
	if err == nil {
		l, err = decodeLine(raw.text)
	}
	if err == nil {
		err = u.unique(l.CustomID, raw.number)
	}
	if err != nil {
		u.note(raw.number, l.CustomID, err)
		return nil
	}
	if u.bad > 0 && !u.skip {
		return nil // nothing will be kept
	}
	u.lines = append(u.lines, l)
	if u.size += len(l.Spec.Input) + 512; len(u.lines) == linesTogether || u.size > linesMost {
		return u.flush(c)
	}
	return nil
}

// unique refuses a custom_id that an earlier line has.
func (u *upload) unique(id string, line int) error {
	var key [16]byte
	sum := sha256.Sum256([]byte(id))
	copy(key[:], sum[:])
	if first, twice := u.seen[key]; twice {
		return job.FieldError{Pointer: "/custom_id", Must: fmt.Sprintf("must not be that of another line: line %d has it", first)}
	}
	u.seen[key] = line
	return nil
}

func (u *upload) note(line int, customID string, err error) {
	u.bad++
	for _, f := range faultsOf(err) {
		if len(u.faults) < maxFaults {
			f.Line, f.CustomID = line, customID
			u.faults = append(u.faults, f)
		}
	}
}

func (u *upload) flush(c echo.Context) error {
	err := u.s.Batches.AddLines(c.Request().Context(), &u.batch, u.lines)
	clear(u.lines)
	u.lines, u.size = u.lines[:0], 0
	return err
}

// badLines are the faults of a batch that is refused for them.
type badLines struct{ faults []fault }

func (b badLines) Error() string   { return fmt.Sprintf("bad lines: %d faults", len(b.faults)) }
func (b badLines) Is(e error) bool { return e == errBody }

// decodeLine reads one line, or returns every fault of it. The custom_id is there with an error too, if it could be read.
func decodeLine(raw []byte) (l job.Line, err error) {
	o, err := parseObject(raw)
	if err != nil {
		return l, err
	}
	l.CustomID = o.text("custom_id")
	if id := l.CustomID; !o.bad["custom_id"] && (id == "" || len(id) > maxCustomID || bytes.IndexByte([]byte(id), 0) >= 0) {
		l.CustomID = ""
		o.fail("custom_id", fmt.Sprintf("must be 1 to %d bytes of text without U+0000", maxCustomID))
	}
	l.Spec = job.Spec{
		Input:        o.text("input"),
		Model:        o.text("model"),
		OutputFormat: job.Format(o.text("outputFormat")),
		Timeout:      seconds(o.whole("timeoutSeconds")),
		Priority:     job.Priority(o.text("priority")),
		Metadata:     o.texts("metadata"),
	}
	o.options(&l.Spec)
	for _, name := range []string{"sandboxId", "conversationId", "continue"} {
		if o.take(name) != nil && !o.bad[name] {
			o.fail(name, "is not available in a batch: its jobs do not depend on each other")
		}
	}
	l.Spec.ConversationID, l.Spec.Continue = "", false
	o.check(l.Spec.Validate(), "input")
	if l.Spec.Priority == "" {
		l.Spec.Priority = job.Bulk
	}
	l.Spec = l.Spec.WithDefaults()
	return l, o.done()
}

// rawLine is a line as it came; err says why it could not be read.
type rawLine struct {
	number int
	text   []byte // until the next one
	err    error
}

// nextLine returns line after line, and io.EOF after the last. Another error ends the upload.
type nextLine func() (rawLine, error)

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

// bodyLines reads a body line by line. Blank lines are none, but are counted.
func (s *Server) bodyLines(c echo.Context, sum hash.Hash) nextLine {
	hurry := http.NewResponseController(c.Response())
	body := bufio.NewReaderSize(io.TeeReader(&steady{c.Request().Body, hurry, steadyBytes}, sum), 64<<10)
	var text []byte
	number, over := 0, false
	return func() (rawLine, error) {
		for !over {
			var err error
			var long bool
			text, long, err = readLine(body, text[:0], s.o.MaxBody)
			number++
			switch over = err == io.EOF; {
			case err != nil && !over:
				return rawLine{}, fmt.Errorf("%w: %w", errIncomplete, err)
			case long:
				return rawLine{number: number, err: job.FieldError{Pointer: "", Must: fmt.Sprintf("must be at most %d bytes", s.o.MaxBody)}}, nil
			case len(bytes.TrimSpace(text)) > 0:
				return rawLine{number: number, text: text}, nil
			}
		}
		return rawLine{}, io.EOF
	}
}

// readLine appends the next line to text. Of one that is longer than most it reads the rest too, and keeps nothing.
func readLine(r *bufio.Reader, text []byte, most int64) (line []byte, long bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if long = long || int64(len(text)+len(part)) > most+1; !long {
			text = append(text, part...)
		}
		if err != bufio.ErrBufferFull {
			return text, long, err
		}
	}
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
