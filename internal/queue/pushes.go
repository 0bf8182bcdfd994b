package queue

import "sync"

// pushes counts the hints of this process that may have reached Redis, and wakes who waits for the next one.
type pushes struct {
	mu   sync.Mutex
	n    int64
	more chan struct{} // closed with the next one; nil while nobody waits
}

func (p *pushes) add() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	if p.more != nil {
		close(p.more)
		p.more = nil
	}
}

// count returns how many there were, and what is closed when there is one more.
func (p *pushes) count() (n int64, more <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.more == nil {
		p.more = make(chan struct{})
	}
	return p.n, p.more
}
