package job

import "fmt"

// How often a job may be launched. They are part of the HTTP contract.
const (
	DefaultMaxAttempts = 3
	MostAttempts       = 10 // that a caller may ask for
)

// Retry says how often a job may be launched, and whether also when that is paid again. An interruption (a worker that
// died, a deploy, a platform that is away) is no launch of its own and never counts.
type Retry struct {
	MaxAttempts int `json:"maxAttempts,omitempty"` // launches charged to the job before it fails; 0 in jobs of older versions
	// AfterSpend launches the prompt again also when a try that failed was paid, in part or whole, or when nobody knows
	// whether it was. What ended as outcome_unknown is not launched again, whatever stands here.
	AfterSpend bool `json:"afterSpend,omitempty"`
}

func validRetry(r Retry) error {
	if r.MaxAttempts < 1 || r.MaxAttempts > MostAttempts {
		return FieldError{"/retry/maxAttempts", fmt.Sprintf("must be 1 to %d", MostAttempts)}
	}
	return nil
}
