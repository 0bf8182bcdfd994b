package dispatch

import "time"

// contact knows for how long this process has been in touch with the database. A silence breaks it: of the database, or a
// pause, in which nothing failed but time went by, of this process (stopped) or of the whole machine (a laptop that slept).
// One statement that fails breaks nothing: in half a lease every worker that lives has had its next beat. Times are
// compared by the wall clock, as the other one stands still in a sleep. One that is set back is a break too: else what was
// noted before would lie in the future, for an hour or as far as it was set back.
type contact struct {
	need    time.Duration // contact before anything is taken over
	trusted bool          // none is needed until the first break
	since   time.Time     // zero while broken
	heard   time.Time     // when the database last answered
	now     time.Time     // when it was last looked at
}

// touch notes that time has come to now, and a break if nothing was heard for half of need.
func (c *contact) touch(now time.Time) {
	c.now = now.Round(0)
	if c.heard.IsZero() {
		c.heard = c.now
	}
	if silent := c.now.Sub(c.heard); silent < 0 || silent > c.need/2 {
		c.since, c.trusted = time.Time{}, false
	}
}

// answered notes that the database has answered at now.
func (c *contact) answered(now time.Time) {
	c.touch(now)
	c.heard = c.now
	if c.since.IsZero() {
		c.since = c.now
	}
}

// long reports whether contact has lasted long enough to believe that a worker that was not heard of is dead.
func (c *contact) long() bool {
	return c.trusted || !c.since.IsZero() && c.now.Sub(c.since) >= c.need
}
