package job

// Limits are how many sandboxes of a deployment may exist at once. One that is to be deleted counts until it is gone. 0 is any
// number.
type Limits struct {
	All     int // in the whole fleet
	PerUser int // of one user
}

// None reports whether there may be any number.
func (l Limits) None() bool { return l == Limits{} }

// Reserve is how many of all are not made for bulk jobs: an eighth, one at least where there are two or more.
func (l Limits) Reserve() int {
	if l.All < 2 {
		return 0
	}
	return max(1, l.All/8)
}

// For is how many there may be in all once one was made for a job of priority p; 0 is any number.
func (l Limits) For(p Priority) int {
	if p == Bulk {
		return l.All - l.Reserve()
	}
	return l.All
}
