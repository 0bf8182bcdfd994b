package job

import "time"

// Batch is many jobs that were submitted together.
type Batch struct {
	ID     string
	Tenant string
	UserID string

	Accepted        int64 // lines that became jobs
	Rejected        int64 // lines that were left out because of their faults
	CancelRequested bool
	CreatedAt       time.Time

	Counts  map[State]int64 // jobs in every state
	CostUSD float64         // of what has a known price
}

// Ended reports whether no job of the batch will change any more.
func (b Batch) Ended() bool { return b.Counts[Queued]+b.Counts[Running] == 0 }

// Line is what one job of a batch is made of.
type Line struct {
	CustomID string // what its submitter calls it
	RetryOf  string // id of the job that it repeats; "" for none
	Spec     Spec
}
