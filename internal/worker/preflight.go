package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sandpiper/internal/claude"
	"sandpiper/internal/job"
	"sandpiper/internal/run"
)

// fresh is how long a sandbox's preflight holds. Its lines are shown for every job all the same.
const fresh = 5 * time.Minute

// checks remembers the preflight of sandboxes that were looked at lately.
type checks struct {
	mu   sync.Mutex
	last map[string]checked // by our sandbox id
}

type checked struct {
	facts claude.Preflight
	at    time.Time
}

func newChecks() *checks { return &checks{last: map[string]checked{}} }

func (c *checks) get(id string) (claude.Preflight, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one, ok := c.last[id]
	return one.facts, ok && time.Since(one.at) < fresh
}

func (c *checks) put(id string, facts claude.Preflight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for old, one := range c.last {
		if time.Since(one.at) >= fresh {
			delete(c.last, old)
		}
	}
	c.last[id] = checked{facts, time.Now()}
}

// preflight looks at the sandbox in one round trip, or remembers what it saw.
func (a *attempt) preflight(ctx context.Context) (claude.Preflight, error) {
	if facts, ok := a.w.checks.get(a.sandbox.ID); ok {
		return facts, nil
	}
	for wait := 100 * time.Millisecond; ; wait *= 2 {
		facts, err := a.ask(ctx)
		if err == nil {
			if facts.VersionOK() && facts.KeyPresent {
				a.w.checks.put(a.sandbox.ID, facts)
			}
			a.tidy(ctx)
			return facts, nil
		}
		if wait > time.Second || !a.mayHeal(ctx, err) || !pause(ctx, wait) {
			return facts, fmt.Errorf("preflight of %s: %w", a.sandbox.ID, err)
		}
	}
}

// tidy deletes the files of old runs from a sandbox that is old enough to have some. The job's own run is not open yet, and
// no other job has the sandbox. What fails here is tried again by a later job.
func (a *attempt) tidy(ctx context.Context) {
	if keep := a.w.o.KeepRuns; keep <= 0 || time.Since(a.sandbox.CreatedAt) < keep {
		return
	}
	n, err := run.Prune(ctx, a.box, a.w.o.KeepRuns)
	if n > 0 || err != nil {
		a.log.InfoContext(ctx, "old runs were deleted from the sandbox", "runs", n, "err", err)
	}
}

// slowest is how long preflight may take: its looks have limits of 4 s, and a busy machine takes its time.
const slowest = 60 * time.Second

func (a *attempt) ask(ctx context.Context) (claude.Preflight, error) {
	ctx, cancel := context.WithTimeout(ctx, slowest)
	defer cancel()
	out, err := a.box.Exec(ctx, a.box.Session, claude.PreflightScript(a.w.api))
	if err != nil {
		return claude.Preflight{}, err
	}
	return claude.ParsePreflight(out.Stdout)
}

// checked is what the guide shows of a preflight, in its words and order.
func (a *attempt) checked(facts claude.Preflight) []job.Event {
	var events []job.Event
	for _, line := range facts.LogLines(a.w.api.Host) {
		events = append(events, job.Event{At: time.Now(), Type: job.EventLog, Level: line.Level, Data: line.Text})
	}
	return events
}
