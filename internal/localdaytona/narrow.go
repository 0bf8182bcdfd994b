package localdaytona

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// narrowing are the filters of a list beyond labels, states, snapshots and prefixes. Where all sandboxes are alike,
// such as in size, they take all of them or none.
func (s *Server) narrowing(q url.Values) ([]func(*record) bool, error) {
	n := narrower{q: q}
	for name, have := range map[string]int{"Cpu": 1, "MemoryGiB": inGiB(s.limits.Memory), "DiskGiB": inGiB(s.limits.Disk)} {
		n.number("min"+name, func(least float64) bool { return float64(have) >= least })
		n.number("max"+name, func(most float64) bool { return float64(have) <= most })
	}
	for name, have := range map[string]string{"regionIds": regionID, "regions": regionID, "sandboxClasses": "container"} {
		if len(q[name]) > 0 && !slices.Contains(q[name], have) {
			n.none()
		}
	}
	n.flag("isPublic", func(r *record) bool { return r.Public })
	n.flag("isRecoverable", func(*record) bool { return false })
	for name, of := range map[string]func(*record) time.Time{
		"createdAt": func(r *record) time.Time { return r.Created },
		"lastEvent": func(r *record) time.Time { return r.Activity },
	} {
		n.moment(name+"After", func(r *record, t time.Time) bool { return of(r).After(t) })
		n.moment(name+"Before", func(r *record, t time.Time) bool { return of(r).Before(t) })
	}
	never := func(*record, time.Time) bool { return false } // no sandbox has such a time
	n.moment("autoDestroyAtAfter", never)
	n.moment("autoDestroyAtBefore", never)
	return n.filters, n.fault
}

// narrower collects filters, and the first fault.
type narrower struct {
	q       url.Values
	filters []func(*record) bool
	fault   error
}

func (n *narrower) add(f func(*record) bool) { n.filters = append(n.filters, f) }

func (n *narrower) none() { n.add(func(*record) bool { return false }) }

func (n *narrower) refuse(name, must string) {
	n.fault = cmp.Or(n.fault, error(apiFault{http.StatusBadRequest, name + " " + must}))
}

func (n *narrower) number(name string, fits func(float64) bool) {
	if text := n.q.Get(name); text != "" {
		v, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil:
			n.refuse(name, "must be a number conforming to the specified constraints")
		case !fits(v):
			n.none()
		}
	}
}

func (n *narrower) flag(name string, of func(*record) bool) {
	if text := n.q.Get(name); text != "" {
		want, err := strconv.ParseBool(text)
		if err != nil {
			n.refuse(name, "must be a boolean value")
			return
		}
		n.add(func(r *record) bool { return of(r) == want })
	}
}

func (n *narrower) moment(name string, fits func(*record, time.Time) bool) {
	if text := n.q.Get(name); text != "" {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			n.refuse(name, "must be a Date instance")
			return
		}
		n.add(func(r *record) bool { return fits(r, t) })
	}
}
