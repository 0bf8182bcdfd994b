package worker

import "context"

// places are those of attempts that are at work: the slots, and as many more that only takeovers get.
//
// A run that goes on in its sandbox is paid for whether somebody follows it or not, it has its sandbox, and to follow it
// costs us little. So when all slots are taken, a takeover neither waits for one nor stands in line with queued jobs. What
// a worker has at work is bounded by twice its slots, and until it is within them again it claims no queued job.
type places struct {
	slots chan struct{}
	spare chan struct{} // taken only while all slots are, or were a moment ago
}

func newPlaces(slots int) places {
	return places{slots: make(chan struct{}, slots), spare: make(chan struct{}, slots)}
}

// wait takes a slot. It is false when ctx has ended before there was one.
func (p places) wait(ctx context.Context) bool {
	select {
	case p.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// take takes a place if there is one.
func (p places) take(takeOver bool) bool {
	select {
	case p.slots <- struct{}{}:
		return true
	default:
	}
	if !takeOver {
		return false
	}
	select {
	case p.spare <- struct{}{}:
		return true
	default:
		return false
	}
}

// give gives a place back: one that is not a slot first, whoever had it.
func (p places) give() {
	select {
	case <-p.spare:
	default:
		<-p.slots
	}
}

// close takes all places, as they are given back, for good: nobody is at work when it returns, nor will be.
func (p places) close() {
	for _, all := range []chan struct{}{p.slots, p.spare} {
		for range cap(all) {
			all <- struct{}{}
		}
	}
}

// Slots says how many jobs are at work, and how many slots there are. While a worker takes over what others left, it may
// have more at work.
func (w *Worker) Slots() (used, total int) {
	return len(w.places.slots) + len(w.places.spare), cap(w.places.slots)
}

// Room is how many takeovers there are places for.
func (w *Worker) Room() int {
	used, total := w.Slots()
	return 2*total - used
}
