package worker

import (
	"context"
	"testing"

	"sandpiper/internal/job"
)

// TestBulkLeavesAnEighthOfTheSlots to others, who get theirs however many bulk jobs wait.
func TestBulkLeavesAnEighthOfTheSlots(t *testing.T) {
	p := newPlaces(8)
	for n := range 7 {
		if !p.take(job.Bulk) {
			t.Fatalf("bulk job %d was refused", n)
		}
	}
	if p.take(job.Bulk) {
		t.Error("bulk has the last slot")
	}
	ctx, stop := context.WithCancel(t.Context())
	gone := make(chan bool)
	go func() { gone <- p.wait(ctx, job.Bulk) }()
	if !p.take(job.Default) {
		t.Error("the reserved slot was refused")
	}
	if p.take(job.Interactive) {
		t.Error("a ninth job was taken in eight slots")
	}
	stop()
	if <-gone {
		t.Error("a bulk job got a slot that was none of bulk's")
	}
}

// TestASlotGoesToTheMostUrgent of those who wait, not to the first.
func TestASlotGoesToTheMostUrgent(t *testing.T) {
	p := newPlaces(2)
	p.take(job.Interactive)
	p.take(job.Bulk)
	got := make(chan job.Priority)
	for i, priority := range []job.Priority{job.Bulk, job.Default, job.Interactive} {
		go func() {
			if p.wait(t.Context(), priority) {
				got <- priority
			}
		}()
		inLine(p, i+1)
	}
	for _, want := range []job.Priority{job.Interactive, job.Default} {
		p.give(job.Interactive)
		if priority := <-got; priority != want {
			t.Errorf("%s got the slot, want %s", priority, want)
		}
	}
	p.give(job.Bulk)
	if priority := <-got; priority != job.Bulk {
		t.Errorf("%s got the slot of bulk", priority)
	}
}

// TestBulkThatWasTakenOverTakesNoReserve: what a dead worker left may be bulk, and more than bulk has slots here.
func TestBulkThatWasTakenOverTakesNoReserve(t *testing.T) {
	p := newPlaces(8)
	for n := range 10 {
		if !p.takeOver() {
			t.Fatalf("takeover %d was refused", n)
		}
		p.isBulk()
	}
	if !p.take(job.Interactive) {
		t.Error("no slot for a person's job")
	}
	if p.take(job.Interactive) || p.take(job.Bulk) {
		t.Error("a queued job was taken beyond the slots")
	}
	for range 4 {
		p.give(job.Bulk)
	}
	if !p.take(job.Bulk) {
		t.Error("a free slot was refused to bulk")
	}
}

// inLine waits until so many wait.
func inLine(p *places, want int) {
	for n := 0; n < want; {
		p.mu.Lock()
		n = 0
		for _, line := range p.waiting {
			n += len(line)
		}
		p.mu.Unlock()
	}
}
