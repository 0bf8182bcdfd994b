package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"sandpiper/internal/store"
)

// Kept are open stores that one fact after another works with. Making a database of a server and opening a store on it
// takes longer than most facts do; emptying it does not. (A SQLite file is copied in less time than it is emptied.)
type Kept struct {
	owner testing.TB // has them, and closes them in the end
	open  func(owner testing.TB) *store.Store
	empty func(ctx context.Context, s *store.Store) error

	mu   sync.Mutex
	free []*store.Store
}

// Keep keeps stores for the facts of owner. open makes one and has owner close it; empty takes out of it whatever a fact
// has put there.
func Keep(owner testing.TB, open func(owner testing.TB) *store.Store, empty func(ctx context.Context, s *store.Store) error) *Kept {
	return &Kept{owner: owner, open: open, empty: empty}
}

// New lends t an empty store, which is t's alone until it ends. A store that t has failed with, or has closed, is lent to
// nobody again.
func (k *Kept) New(t testing.TB) *store.Store {
	t.Helper()
	s := k.take()
	if s == nil {
		s = k.open(k.owner)
	}
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		s.SetNews(nil)
		if !t.Failed() && s.Ping(ctx) == nil && k.empty(ctx, s) == nil {
			k.giveBack(s)
		}
	})
	return s
}

func (k *Kept) take() *store.Store {
	k.mu.Lock()
	defer k.mu.Unlock()
	last := len(k.free) - 1
	if last < 0 {
		return nil
	}
	s := k.free[last]
	k.free = k.free[:last]
	return s
}

func (k *Kept) giveBack(s *store.Store) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.free = append(k.free, s)
}
