package localdaytona

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Running says how many sandboxes are started.
func (s *Server) Running() (n int) {
	for _, r := range s.all() {
		s.look(r)
		s.mu.Lock()
		if r.State == started {
			n++
		}
		s.mu.Unlock()
	}
	return n
}

// StopIdle stops every started sandbox that is not busy, and waits until they have ended.
func (s *Server) StopIdle(ctx context.Context, busy func(sandboxID string) bool) error {
	return s.stopWhere(ctx, func(id string) bool { return !busy(id) })
}

// StopAll stops every started sandbox.
func (s *Server) StopAll(ctx context.Context) error {
	return s.stopWhere(ctx, func(string) bool { return true })
}

// StopAll ends every sandbox daemon of a state directory, side by side, without a server, and says how many there
// were. The sandboxes are stopped, not deleted.
func StopAll(dir string) (int, error) {
	found, err := readRecords(dir)
	if err != nil {
		return 0, err
	}
	var (
		all   sync.WaitGroup
		ended atomic.Int64
		errs  = make([]error, len(found))
	)
	for i, r := range found {
		if !r.Daemon.alive() {
			continue
		}
		all.Go(func() {
			if errs[i] = r.end(context.Background(), false); errs[i] != nil {
				return
			}
			ended.Add(1)
			if r.State == started || r.State == stopping {
				r.State, r.Updated = stopped, time.Now()
				errs[i] = r.save()
			}
		})
	}
	all.Wait()
	return int(ended.Load()), errors.Join(errs...)
}

// Turn does what time asks for: it stops sandboxes that nobody has used for their auto-stop interval, or that are over
// a limit, and deletes stopped ones after their auto-delete interval. One goroutine may call it.
func (s *Server) Turn(ctx context.Context, now time.Time) {
	for _, r := range s.all() {
		s.look(r)
		s.watch(ctx, r, now)
		s.mu.Lock()
		idle := now.Sub(r.Activity)
		stop := r.State == started && r.AutoStop > 0 && r.open == 0 && idle >= time.Duration(r.AutoStop)*time.Minute
		remove := r.State == stopped && r.AutoDelete >= 0 && now.Sub(r.Updated) >= time.Duration(r.AutoDelete)*time.Minute
		s.mu.Unlock()
		if stop {
			s.log.Info("sandbox stopped: nobody used it", "sandboxId", r.ID, "idle", idle)
			_ = s.stopSandbox(r, false) // refused: it is changing already
		}
		if remove {
			_ = s.deleteSandbox(r)
		}
	}
}

func (s *Server) all() []*record {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make([]*record, 0, len(s.sandboxes))
	for _, r := range s.sandboxes {
		found = append(found, r)
	}
	return found
}
