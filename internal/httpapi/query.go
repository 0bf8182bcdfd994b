package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// query takes the parameters of a request one by one and keeps every fault.
type query struct {
	values  url.Values
	faults  []error
	namedAt string // where the user is named; "" means in the query
}

func queryOf(c echo.Context) *query {
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.fail("", "must be well formed")
	}
	return q
}

func (q *query) fail(name, must string) {
	q.faults = append(q.faults, job.FieldError{Pointer: "?" + name, Must: must})
}

// whole takes a whole number from least to most; absent is what an absent one means.
func (q *query) whole(name string, absent, least, most int64) int64 {
	if !q.values.Has(name) {
		return absent
	}
	n, err := strconv.ParseInt(q.values.Get(name), 10, 64)
	if err != nil || n < least || n > most {
		q.fail(name, fmt.Sprintf("must be a whole number from %d to %d", least, most))
		return absent
	}
	return n
}

// id takes an id; "" is an absent one.
func (q *query) id(name string) string {
	id := q.values.Get(name)
	if q.values.Has(name) && !isID(id) {
		q.fail(name, "must be an id")
	}
	return id
}

// state takes a state of a job; "" is an absent one.
func (q *query) state() job.State {
	state := job.State(q.values.Get("state"))
	if q.values.Has("state") && !state.Valid() {
		q.fail("state", fmt.Sprintf("must be one of %v", job.States))
	}
	return state
}

// wait takes how long to wait: "30s", or plain seconds.
func (q *query) wait() time.Duration {
	if !q.values.Has("wait") {
		return 0
	}
	given := q.values.Get("wait")
	d, err := time.ParseDuration(given)
	if n, bare := strconv.ParseInt(given, 10, 64); bare == nil {
		d, err = seconds(n), nil
	}
	if err != nil || d < 0 || d > maxWait {
		q.fail("wait", fmt.Sprintf("must be 0s to %v", maxWait))
		return 0
	}
	return d
}

const maxWait = time.Minute

// userID takes who is named; "" when nobody is.
func (q *query) userID() string {
	id := q.values.Get("userId")
	var f job.FieldError
	if q.values.Has("userId") && errors.As(job.ValidateUserID(id), &f) {
		q.fail("userId", f.Must)
	}
	return id
}

// done returns every fault.
func (q *query) done() error {
	if len(q.faults) == 0 {
		return nil
	}
	return errors.Join(append([]error{errQuery}, q.faults...)...)
}

// caller ends the taking of parameters: it returns their faults, or who asks.
func (q *query) caller(c echo.Context) (auth.Caller, error) {
	named := q.userID()
	if err := q.done(); err != nil {
		return auth.Caller{}, err
	}
	return callerOf(c, named, cmp.Or(q.namedAt, inQuery))
}
