package store

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Postgres chooses how to find rows by what it knows of how many there are, which it looks up about once a minute.
// In the first minute of a large batch it takes queued jobs for rare, and goes through hundreds of thousands of them
// to find one. So what makes jobs by the thousand has them counted.
const (
	statisticsJobs  = 5_000 // new jobs that are worth a look, of a few milliseconds
	statisticsEvery = 30 * time.Second
)

// statistics says when they are to be taken.
type statistics struct {
	mu    sync.Mutex
	jobs  int // made since they were taken
	taken time.Time
}

// wanted counts new jobs, and whether it is time. Who is told so takes them.
func (s *statistics) wanted(jobs int, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs += jobs
	if s.jobs < statisticsJobs || now.Sub(s.taken) < statisticsEvery {
		return false
	}
	s.jobs, s.taken = 0, now
	return true
}

// takeStatistics has the engine count jobs, if it goes by such counts. Where somebody else is at it, nothing is done.
func (s *Store) takeStatistics(ctx context.Context) error {
	err := s.writeBulk(ctx, func(ctx context.Context, t *tx) error {
		if t.places == nil {
			return nil
		}
		_, err := t.exec(ctx, `ANALYZE (SKIP_LOCKED) jobs`)
		return err
	})
	if err != nil {
		return fmt.Errorf("take statistics: %w", err)
	}
	return nil
}
