package dispatch

import (
	"context"
	"fmt"
	"math/rand/v2"

	"sandpiper/internal/job"
)

// takeOver offers jobs that were given back, and jobs whose worker has not been heard of for a lease. After an outage of
// the database every lease has lapsed and every worker lives, so for the latter it waits until they all have had the time
// to say so.
func (s *Sweeper) takeOver(ctx context.Context) (int, error) {
	sure, list := s.contact.long(), s.jobs.Released
	if sure {
		list = s.jobs.Lapsed
	}
	ids, err := list(ctx, s.o.Batch)
	if err != nil {
		return 0, fmt.Errorf("look for jobs that nobody holds: %w", err)
	}
	s.contact.answered(s.o.Now())
	if sure && !s.contact.long() {
		return 0, nil // the answer came late: what it says may be the database's own silence
	}
	return s.share(ids), nil
}

// part of its free places is what a worker fills in one turn with the jobs of another. All workers look at the same
// moment, when they are told that one goes: so each gets as much as it has room for, and none gets all.
const part = 8

// share offers a part of the jobs, in no order, so that workers that look at the same time rarely choose the same.
func (s *Sweeper) share(ids []string) int {
	free := s.worker.Room()
	many := min(len(ids), max(1, (free+part-1)/part))
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	s.more = len(ids) > many && free > many
	for n, id := range ids[:many] {
		if !s.worker.Offer(job.Hint{JobID: id}, true) {
			s.more = false
			return n
		}
	}
	return many
}
