package queue

import (
	"context"
	"sync"
	"time"

	"sandpiper/internal/job"
)

const (
	// shallow is how many hints of one priority may wait for a new one to be pushed beside them. They all come before
	// whoever's turn it is, so they are few.
	shallow = 16
	// glance is how long what is known of the lengths does where it says that no more may be pushed. It is how often a
	// process that is asked all the time looks, at most.
	glance = 25 * time.Millisecond
)

// levels are how many hints wait in Redis, as far as this process knows: as many as were there at the last look, and those
// that it has pushed since. What others have pushed or taken since is not in it.
type levels struct {
	mu     sync.Mutex
	of     map[job.Priority]int
	looked time.Time
}

func (l *levels) pushed(p job.Priority) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[job.Priority]int{}
	}
	l.of[p]++
}

func (l *levels) found(now time.Time, all map[job.Priority]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of, l.looked = map[job.Priority]int{}, now
	for p, n := range all {
		l.of[p] = n
	}
}

// shallow reports whether few hints of p wait, and look whether that is worth another look; one caller at a time is told so.
func (l *levels) shallow(now time.Time, p job.Priority) (few, look bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[p] < shallow {
		return true, false
	}
	if now.Sub(l.looked).Abs() < glance {
		return false, false
	}
	l.looked = now
	return false, true
}

// Shallow reports whether so few hints of p wait that one more may be pushed beside them, whoever's turn it is. It asks
// Redis only when this process has pushed many since the last look. A Redis that is away takes none.
func (q *Queue) Shallow(ctx context.Context, p job.Priority) bool {
	if q.away.Load() {
		return false
	}
	few, look := q.levels.shallow(time.Now(), p)
	if !look {
		return few
	}
	if _, err := q.Depths(ctx); err != nil {
		return false
	}
	few, _ = q.levels.shallow(time.Now(), p)
	return few
}
