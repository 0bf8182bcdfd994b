package dispatch

import "time"

// contact knows for how long this process has been in touch with the database without a break. An error breaks it, and
// so does a pause, in which nothing failed but time went by: of the database, of this process (stopped), or of the
// whole machine (a laptop that slept). Times are compared by the wall clock, as the other one stands still in a sleep.
type contact struct {
	need    time.Duration // unbroken contact before anything is taken over
	trusted bool          // none is needed until the first break
	since   time.Time     // zero while broken
	last    time.Time     // when it was last looked at
}

// touch notes that time has come to now, and a break if that took half of need.
func (c *contact) touch(now time.Time) {
	now = now.Round(0)
	if !c.last.IsZero() && now.Sub(c.last) > c.need/2 {
		c.lose()
	}
	c.last = now
}

// answered notes that the database has answered at now.
func (c *contact) answered(now time.Time) {
	c.touch(now)
	if c.since.IsZero() {
		c.since = c.last
	}
}

// lose notes a break.
func (c *contact) lose() { c.since, c.trusted = time.Time{}, false }

// long reports whether contact has lasted long enough to believe that a worker that was not heard of is dead.
func (c *contact) long() bool {
	return c.trusted || !c.since.IsZero() && c.last.Sub(c.since) >= c.need
}
