package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/job"
)

const (
	bodyTimeout = 2 * time.Minute // for a whole body to arrive
	drainMost   = 64 << 20        // bytes of a refused body that are read all the same
	drainFor    = 30 * time.Second
)

// body reads a request's body, up to the limit.
func (s *Server) body(c echo.Context) ([]byte, error) {
	r := c.Request()
	if r.ContentLength > s.o.MaxBody {
		return nil, errTooLarge
	}
	hurry := http.NewResponseController(c.Response())
	hurry.SetReadDeadline(time.Now().Add(bodyTimeout)) // fails in tests without a connection: then nothing hangs
	raw, err := io.ReadAll(io.LimitReader(r.Body, s.o.MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errIncomplete, err)
	}
	hurry.SetReadDeadline(time.Time{})
	if int64(len(raw)) > s.o.MaxBody {
		return nil, errTooLarge
	}
	return raw, nil
}

// drainBody reads what a refused request still brings, within bounds. A client that sends its whole body before it
// reads would otherwise meet a closed connection and never see the answer. One that asks first (Expect) is told
// before it sends.
func drainBody(c echo.Context) {
	r := c.Request()
	if !hasBody(r) || r.Header.Get("Expect") != "" {
		return
	}
	hurry := http.NewResponseController(c.Response())
	hurry.SetReadDeadline(time.Now().Add(drainFor))
	if _, err := io.CopyN(io.Discard, r.Body, drainMost); err == io.EOF {
		hurry.SetReadDeadline(time.Time{}) // all of it came. Otherwise net/http must not wait for the rest either
	}
}

// object is a JSON object whose fields are taken one by one. Every fault is kept, so that a client sees all of
// them at once.
type object struct {
	raw    map[string]json.RawMessage
	bad    map[string]bool // :: field → it has a fault already
	taken  map[string]bool
	faults []error
}

// parseObject reads a body. What it refuses at once cannot be looked at further.
func parseObject(raw []byte) (*object, error) {
	if !json.Valid(raw) {
		return nil, errors.Join(errNotJSON, syntaxFault(raw))
	}
	text, twin := checkText(raw)
	if len(text) > 0 {
		return nil, errors.Join(append([]error{errText}, text...)...)
	}
	o := &object{bad: map[string]bool{}, taken: map[string]bool{}, faults: twin}
	if err := json.Unmarshal(raw, &o.raw); err != nil || o.raw == nil {
		return nil, errors.Join(errBody, job.FieldError{Pointer: "", Must: "must be a JSON object"})
	}
	return o, nil
}

// syntaxFault says where JSON breaks off.
func syntaxFault(raw []byte) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return job.FieldError{Pointer: "", Must: "must not be empty"}
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(raw, new(json.RawMessage)); errors.As(err, &syntax) {
		return job.FieldError{Pointer: "", Must: fmt.Sprintf("must be one JSON value: see byte %d", syntax.Offset)}
	}
	return job.FieldError{Pointer: "", Must: "must be one JSON value"}
}

// has reports whether a field was given.
func (o *object) has(name string) bool { return o.raw[name] != nil }

// fail notes one more fault.
func (o *object) fail(name, must string) {
	o.bad[name] = true
	o.add(job.FieldError{Pointer: "/" + pointerToken(name), Must: must})
}

func (o *object) add(err error) {
	if len(o.faults) < maxFaults {
		o.faults = append(o.faults, err)
	}
}

// take returns a field as it stands in the body, nil when it is absent.
func (o *object) take(name string) json.RawMessage {
	raw, given := o.raw[name]
	if given {
		o.taken[name] = true
	}
	return raw
}

// text takes a string. It is "" when the field is absent or not a string.
func (o *object) text(name string) (value string) {
	if raw := o.take(name); raw != nil && (raw[0] != '"' || json.Unmarshal(raw, &value) != nil) {
		o.fail(name, "must be a string")
	}
	return value
}

// whole takes a whole number. One that an int64 cannot hold is as far out of every range as the nearest that it can.
func (o *object) whole(name string) int64 {
	raw := o.take(name)
	if raw == nil {
		return 0
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		o.fail(name, "must be a whole number")
		return 0
	}
	return n
}

// texts takes an object of strings.
func (o *object) texts(name string) map[string]string {
	raw := o.take(name)
	if raw == nil {
		return nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || fields == nil {
		o.fail(name, "must be an object of strings")
		return nil
	}
	values := make(map[string]string, len(fields))
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		var value string
		if fields[key][0] != '"' || json.Unmarshal(fields[key], &value) != nil {
			o.bad[name] = true
			o.add(job.FieldError{Pointer: "/" + name + "/" + pointerToken(key), Must: "must be a string"})
		}
		values[key] = value
	}
	return values
}

// check adds the faults that a rule found, except those of fields that are absent (a default stands for them) or
// have a fault already. required fields are never absent.
func (o *object) check(err error, required ...string) {
	for _, f := range faultsOf(err) {
		name := firstToken(f.Pointer)
		if o.bad[name] || (!o.has(name) && !slices.Contains(required, name)) {
			continue
		}
		o.add(job.FieldError{Pointer: f.Pointer, Must: f.Detail})
	}
}

// done returns every fault: those found, and the fields that nobody took.
func (o *object) done() error {
	options := 0
	for _, name := range slices.Sorted(maps.Keys(o.raw)) {
		switch {
		case o.taken[name]:
		case slices.Contains(notYet, name):
			options++
			o.add(unavailable{job.FieldError{Pointer: "/" + name, Must: "is not available yet"}})
		default:
			o.fail(name, "is not a known field")
		}
	}
	switch {
	case len(o.faults) == 0:
		return nil
	case len(o.faults) == options:
		return errors.Join(append([]error{errOption}, o.faults...)...)
	}
	return errors.Join(append([]error{errBody}, o.faults...)...)
}

// canonical is the object as JSON that does not depend on white space, order or escapes.
func (o *object) canonical() ([]byte, error) {
	fields := make(map[string]any, len(o.raw))
	for name, raw := range o.raw {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, fmt.Errorf("read field %s: %w", name, err)
		}
		fields[name] = v
	}
	return json.Marshal(fields) // sorts keys
}
