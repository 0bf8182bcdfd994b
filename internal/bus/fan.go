package bus

import (
	"sync"

	"sandpiper/internal/job"
)

// fan gives news to any number of listeners and waits for none.
type fan struct {
	buffer int
	mu     sync.Mutex
	to     map[*listener]struct{}
}

// listener has one place more than its buffer, for the zero news that says that some was lost.
type listener struct {
	ch   chan job.News
	lost bool // the newest news in ch is the zero one, and more was lost since
}

func (f *fan) add() (<-chan job.News, func()) {
	l := &listener{ch: make(chan job.News, f.buffer+1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to[l] = struct{}{}
	return l.ch, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.to, l)
	}
}

func (f *fan) send(n job.News) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.to {
		l.take(n, f.buffer)
	}
}

// take never blocks, since only the holder of the fan's lock sends, and the listener only makes room. While lost, what
// does not fit is forgotten: the zero news is still unread, and whoever reads it reads everything again.
func (l *listener) take(n job.News, buffer int) {
	switch {
	case len(l.ch) < buffer:
		l.ch <- n
		l.lost = false
	case !l.lost:
		l.ch <- job.News{}
		l.lost = true
	}
}
