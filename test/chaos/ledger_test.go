package chaos

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// ledger is what was broken, and when.
type ledger struct {
	mu    sync.Mutex
	kinds map[string][]time.Time // fault → when it hit
}

func newLedger() *ledger { return &ledger{kinds: map[string][]time.Time{}} }

func (l *ledger) hit(fault string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kinds[fault] = append(l.kinds[fault], time.Now())
}

// all are the faults in the order of their names.
func (l *ledger) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.kinds))
}

// times are when a fault hit.
func (l *ledger) times(fault string) []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.kinds[fault])
}

func (l *ledger) count() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, times := range l.kinds {
		n += len(times)
	}
	return n
}
