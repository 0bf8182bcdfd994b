package worker

import (
	"context"
	"sync"
	"time"

	"sandpiper/internal/job"
)

// held knows the attempts that this worker is at work on.
type held struct {
	mu      sync.Mutex
	byID    map[string]*hold // by job id
	offered map[string]bool  // jobs that were offered and whose claim is not decided
}

type hold struct {
	attempt job.Attempt
	stop    context.CancelCauseFunc
	beat    time.Time // when the newest beat that went through was begun
}

func newHeld() *held { return &held{byID: map[string]*hold{}, offered: map[string]bool{}} }

// offer notes a job that is to be claimed. It is false when that is so already.
func (h *held) offer(jobID string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.offered[jobID] {
		return false
	}
	h.offered[jobID] = true
	return true
}

// decided notes that the claim of an offered job has come to an end, whatever became of it.
func (h *held) decided(jobID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.offered, jobID)
}

func (h *held) add(a job.Attempt, stop context.CancelCauseFunc, began time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.byID[a.JobID] = &hold{attempt: a, stop: stop, beat: began}
}

// remove forgets a, unless a newer attempt of the same job came to this worker meanwhile.
func (h *held) remove(a job.Attempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.byID[a.JobID]; now != nil && now.attempt == a {
		delete(h.byID, a.JobID)
	}
}

func (h *held) has(jobID string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.byID[jobID] != nil
}

func (h *held) attempts() []job.Attempt {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]job.Attempt, 0, len(h.byID))
	for _, one := range h.byID {
		all = append(all, one.attempt)
	}
	return all
}

func (h *held) beaten(attempts []job.Attempt, began time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range attempts {
		if one := h.byID[a.JobID]; one != nil && one.attempt == a {
			one.beat = began
		}
	}
}

func (h *held) stop(jobID string, cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if one := h.byID[jobID]; one != nil {
		one.stop(cause)
	}
}

// beatOf is when the lease of a was last extended for certain, on this machine's monotonic clock.
func (h *held) beatOf(a job.Attempt) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if one := h.byID[a.JobID]; one != nil && one.attempt == a {
		return one.beat
	}
	return time.Time{}
}
