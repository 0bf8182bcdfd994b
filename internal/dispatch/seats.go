package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// seatsEvery is how often seats are looked at. Claims and ends keep them; this is for what an older program beside them leaves
// behind, and for people to see why a job waits.
const seatsEvery = 5 * time.Second

// seats gives seats back whose jobs do not run, and has jobs say that they wait for one, where there are seats.
func (s *Sweeper) seats(ctx context.Context) error {
	now := s.o.Now()
	if s.o.PerUser == 0 || now.Sub(s.seated).Abs() < seatsEvery {
		return nil
	}
	s.seated = now
	_, errFree := s.jobs.FreeSeats(ctx, s.o.Batch)
	_, errShow := s.jobs.ShowSeated(ctx, s.o.PerUser, s.o.Batch)
	if err := errors.Join(errFree, errShow); err != nil {
		return fmt.Errorf("look at seats: %w", err)
	}
	return nil
}
