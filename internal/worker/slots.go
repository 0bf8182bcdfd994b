package worker

import (
	"context"
	"slices"
	"sync"

	"sandpiper/internal/job"
)

// places are those of attempts that are at work: the slots, and as many more that only takeovers get.
//
// A run that goes on in its sandbox is paid for whether somebody follows it or not, it has its sandbox, and to follow it
// costs us little. So when all slots are taken, a takeover neither waits for one nor stands in line with queued jobs. What
// a worker has at work is bounded by twice its slots, and until it is within them again it claims no queued job.
//
// Some slots are never given to bulk (job.BulkSlots), and what waits for one gets it by its priority. Bulk jobs that were
// taken over, more than have slots, do not take these from others either.
type places struct {
	slots, forBulk int

	mu         sync.Mutex
	used, bulk int // of them bulk
	closed     bool
	idle       chan struct{}               // closed when nobody is at work any more; nil until close
	waiting    map[job.Priority][]*claimer // in the order in which they came
}

// claimer waits for a slot.
type claimer struct{ granted chan struct{} }

func newPlaces(slots int) *places {
	return &places{slots: slots, forBulk: job.BulkSlots(slots), waiting: map[job.Priority][]*claimer{}}
}

// wait takes a slot for a queued job. It is false when ctx has ended before there was one.
func (p *places) wait(ctx context.Context, priority job.Priority) bool {
	p.mu.Lock()
	if p.admit(priority) {
		p.mu.Unlock()
		return true
	}
	me := &claimer{make(chan struct{})}
	p.waiting[priority] = append(p.waiting[priority], me)
	p.mu.Unlock()
	select {
	case <-me.granted:
		return true
	case <-ctx.Done():
		return p.leave(priority, me)
	}
}

// leave takes me out of the line. It is true when me has got its slot meanwhile.
func (p *places) leave(priority job.Priority, me *claimer) (granted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.waiting[priority], me)
	if i < 0 {
		return true
	}
	p.waiting[priority] = slices.Delete(p.waiting[priority], i, i+1)
	return false
}

// take takes a slot for a queued job if there is one.
func (p *places) take(priority job.Priority) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.admit(priority)
}

// takeOver takes a place for a takeover if there is one. Its priority is not known yet: see isBulk.
func (p *places) takeOver() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.used >= 2*p.slots {
		return false
	}
	p.used++
	return true
}

// admit takes a slot if there is one for this priority.
func (p *places) admit(priority job.Priority) bool {
	isBulk := priority == job.Bulk
	switch beyond := max(0, p.bulk-p.forBulk); {
	case p.closed, p.used >= 2*p.slots, p.used-beyond >= p.slots, isBulk && (p.bulk >= p.forBulk || p.used >= p.slots):
		return false
	}
	p.used++
	if isBulk {
		p.bulk++
	}
	return true
}

// isBulk says of a takeover that its job is a bulk job, as its claim has told.
func (p *places) isBulk() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bulk++
	p.grant()
}

// give gives a place back.
func (p *places) give(priority job.Priority) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	if priority == job.Bulk {
		p.bulk--
	}
	if p.idle != nil && p.used == 0 {
		close(p.idle)
		p.idle = nil
	}
	p.grant()
}

// grant gives what is free to those who wait, the most urgent first.
func (p *places) grant() {
	for _, priority := range job.Priorities {
		for line := p.waiting[priority]; len(line) > 0 && p.admit(priority); line = p.waiting[priority] {
			p.waiting[priority] = line[1:]
			close(line[0].granted)
		}
	}
}

// close gives out nothing any more, for good: nobody is at work when it returns, nor will be.
func (p *places) close() {
	p.mu.Lock()
	p.closed = true
	var idle chan struct{}
	if p.used > 0 {
		idle = make(chan struct{})
		p.idle = idle
	}
	p.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

// Slots says how many jobs are at work, and how many slots there are. While a worker takes over what others left, it may
// have more at work.
func (w *Worker) Slots() (used, total int) {
	w.places.mu.Lock()
	defer w.places.mu.Unlock()
	return w.places.used, w.places.slots
}

// Room is how many takeovers there are places for.
func (w *Worker) Room() int {
	used, total := w.Slots()
	return 2*total - used
}
