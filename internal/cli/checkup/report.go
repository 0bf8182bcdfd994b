package checkup

import (
	"context"
	"errors"
	"strings"
	"time"

	"sandpiper/client"
)

// Status is how a check went.
type Status string

// The outcomes of a check.
const (
	OK      Status = "ok"
	Failed  Status = "failed"
	Skipped Status = "skipped" // not tried: something that it needs is missing
)

// Line is one check.
type Line struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Found  string `json:"found"`            // what was seen
	Remedy string `json:"remedy,omitempty"` // what to do when it failed
	MS     int64  `json:"ms"`
}

// Options of a checkup.
type Options struct {
	Environ []string          // as os.Environ gives it
	API     string            // a running API for the layers that go through one; "" brings one up
	Key     client.Key        // for that API; "" sends none
	UserID  string            // whose prompt e2e sends; "" means the key's user, without a key one of this check alone
	Input   string            // what e2e sends; "" means the guide's sum
	Begin   func(name string) // told of each check before it is tried; nil means nobody
	Show    func(Line)        // told of each line; nil means nobody
}

// check is something to find out.
type check struct {
	name   string
	within time.Duration // its limit
	vital  bool          // when it fails, what follows makes no sense
	do     func(ctx context.Context) (found string, err error)
}

// remedied is a fault with what to do about it.
type remedied struct {
	error
	remedy string
}

func (r remedied) Unwrap() error { return r.error }

// remedy adds to a fault what to do about it. The innermost one counts.
func remedy(err error, do string) error {
	var known remedied
	if err == nil || errors.As(err, &known) {
		return err
	}
	return remedied{err, do}
}

// report keeps the lines of a checkup.
type report struct {
	o     Options
	hide  []string // never shown
	lines []Line
	lost  bool // a vital check failed
}

// all tries checks in their order.
func (r *report) all(ctx context.Context, checks ...check) {
	for _, c := range checks {
		if r.lost || ctx.Err() != nil {
			r.add(Line{Check: c.name, Status: Skipped, Found: "not tried"})
			continue
		}
		if !r.try(ctx, c) && c.vital {
			r.lost = true
		}
	}
}

func (r *report) try(ctx context.Context, c check) bool {
	if r.o.Begin != nil {
		r.o.Begin(c.name)
	}
	ctx, cancel := context.WithTimeout(ctx, c.within)
	defer cancel()
	began := time.Now()
	found, err := c.do(ctx)
	l := Line{Check: c.name, Status: OK, Found: found, MS: time.Since(began).Milliseconds()}
	if err != nil {
		l.Status, l.Found, l.Remedy = Failed, err.Error(), "try again; if it stays, the text on the left is what the other side said"
		var known remedied
		if errors.As(err, &known) {
			l.Remedy = known.remedy
		}
	}
	r.add(l)
	return err == nil
}

func (r *report) add(l Line) {
	for _, secret := range r.hide {
		if secret != "" {
			l.Found = strings.ReplaceAll(l.Found, secret, "[secret]")
		}
	}
	r.lines = append(r.lines, l)
	if r.o.Show != nil {
		r.o.Show(l)
	}
}

// Passed reports whether every check was tried and went well.
func Passed(lines []Line) bool {
	for _, l := range lines {
		if l.Status != OK {
			return false
		}
	}
	return len(lines) > 0
}
