package localdaytona

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
)

// findAgain loads the records of earlier servers. A daemon that lives is taken as it is; one that does not leaves a
// stopped sandbox. What was under way when the server was killed is ended: creations and starts are done again,
// stops and deletions finished.
func (s *Server) findAgain() error {
	found, err := readRecords(s.o.Dir)
	if err != nil {
		return err
	}
	for _, r := range found {
		r.Activity = time.Now() // nobody could touch it while no server ran
		s.sandboxes[r.ID] = r
		switch r.State {
		case creating, starting:
			// The daemon may run without its record knowing: the server was killed between the two.
			_ = askToStop(context.Background(), r.dir)
			_ = r.end(context.Background(), true)
			_ = s.bringUp(context.Background(), r) // its error is the record's
		case stopping:
			s.behind(func() { s.bringDown(r, false) })
		case destroying:
			s.behind(func() { s.destroy(r) })
		default:
			s.look(r)
		}
	}
	s.wait()
	return nil
}

// look notices that a started sandbox's daemon has died: the sandbox is stopped then, its files are kept.
func (s *Server) look(r *record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.State == started && !r.Daemon.alive() {
		s.change(r, stopped, "")
	}
	if r.child != 0 && !r.Daemon.alive() && reapChild(r.child) {
		r.child = 0
	}
}

// change needs s.mu. A record that cannot be written is logged: the sandbox itself is as it is.
func (s *Server) change(r *record, state, reason string) {
	r.State, r.Error, r.Updated = state, reason, time.Now()
	if err := r.save(); err != nil {
		s.log.Error("sandbox record not written", "sandboxId", r.ID, "err", err)
	}
}

// begin moves a sandbox into a state of change, if allow says that it may.
func (s *Server) begin(r *record, state string, allow func(*record) error) error {
	s.look(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.changing() {
		return apiFault{http.StatusConflict, "Sandbox state change in progress"}
	}
	if err := allow(r); err != nil {
		return err
	}
	s.change(r, state, "")
	return nil
}

// add makes a record and its folders. The name is free, and taken, in the same moment.
func (s *Server) add(r *record) error {
	r.ID = uuid.NewString()
	if r.Name == "" {
		r.Name = r.ID
	}
	r.dir = filepath.Join(sandboxesDir(s.o.Dir), r.ID)
	r.Created = time.Now()
	r.Activity = r.Created
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.sandboxes {
		if other.Name == r.Name {
			return apiFault{http.StatusConflict, fmt.Sprintf("Sandbox with name %s already exists", r.Name)}
		}
	}
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		return fmt.Errorf("make the sandbox's folder: %w", err)
	}
	r.State, r.Updated = creating, r.Created
	if err := r.save(); err != nil {
		return errors.Join(err, os.RemoveAll(r.dir))
	}
	s.sandboxes[r.ID] = r
	return nil
}

// bringUp starts the daemon of a sandbox that is creating or starting.
func (s *Server) bringUp(ctx context.Context, r *record) error {
	s.mu.Lock()
	box, fresh := *r, r.State == creating
	s.mu.Unlock()
	var l launched
	var err error
	if fresh {
		err = s.isolation.furnish(box.dir, s.filesOf(box.Snapshot))
	}
	if err == nil {
		err = box.end(ctx, true) // nothing of an earlier daemon may run beside the new one
	}
	if err == nil {
		l, err = s.isolation.launch(ctx, box, s.o.Claude)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.change(r, failed, err.Error())
		return fmt.Errorf("start sandbox %s: %w", r.ID, err)
	}
	r.Daemon, r.child, r.Contained, r.Activity = l.daemon, l.child, s.isolation.contained(), time.Now()
	s.limit(r)
	s.change(r, started, "")
	return nil
}

// bringDown ends the daemon of a sandbox that is stopping.
func (s *Server) bringDown(r *record, force bool) {
	err := s.endDaemon(r, force)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.change(r, failed, err.Error())
		return
	}
	s.change(r, stopped, "")
}

func (s *Server) endDaemon(r *record, force bool) error {
	s.mu.Lock()
	box := *r
	s.mu.Unlock()
	err := box.end(context.Background(), force) // a request that ends must not leave it half stopped
	s.transport.CloseIdleConnections()
	s.reap(r, box.child)
	return err
}

// reap waits for our own child: the daemon has ended, so bubblewrap ends by itself.
func (s *Server) reap(r *record, child int) {
	if child == 0 {
		return
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for range 500 { // then look does it
		if reapChild(child) {
			s.mu.Lock()
			defer s.mu.Unlock()
			r.child = 0
			return
		}
		<-tick.C
	}
}

// destroy ends a sandbox and removes all trace of it.
func (s *Server) destroy(r *record) {
	err := s.endDaemon(r, true)
	if err == nil {
		err = s.discard(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.change(r, failed, err.Error())
		return
	}
	delete(s.sandboxes, r.ID)
}

// discard removes the files, the record first: a folder without one is removed by the next server.
func (s *Server) discard(r *record) error {
	if err := os.Remove(filepath.Join(r.dir, recordName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the record of %s: %w", r.ID, err)
	}
	return removeTree(r.dir)
}

// startSandbox starts a stopped sandbox and waits for it; a started one is fine as it is.
func (s *Server) startSandbox(ctx context.Context, r *record) error {
	already := errors.New("already started")
	err := s.begin(r, starting, func(r *record) error {
		switch r.State {
		case started:
			return already
		case failed:
			return apiFault{http.StatusBadRequest, "Sandbox is in an errored state"}
		}
		return nil
	})
	if errors.Is(err, already) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.bringUp(context.WithoutCancel(ctx), r); err != nil {
		return apiFault{http.StatusBadRequest, "Sandbox failed to start: " + err.Error()}
	}
	return nil
}

// stopSandbox begins to stop a started sandbox; the rest happens behind the answer. An ephemeral one is deleted.
func (s *Server) stopSandbox(r *record, force bool) error {
	s.mu.Lock()
	gone := r.ephemeral()
	s.mu.Unlock()
	if gone {
		return s.deleteSandbox(r)
	}
	err := s.begin(r, stopping, func(r *record) error {
		if r.State != started {
			return apiFault{http.StatusBadRequest, "Sandbox is not in a stoppable state"}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.behind(func() { s.bringDown(r, force) })
	return nil
}

// deleteSandbox begins to delete a sandbox. Its name is free at once.
func (s *Server) deleteSandbox(r *record) error {
	err := s.begin(r, destroying, func(r *record) error {
		if !strings.HasPrefix(r.Name, "DESTROYED_") {
			r.Name = fmt.Sprintf("DESTROYED_%s_%d", r.Name, time.Now().UnixMilli())
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.behind(func() { s.destroy(r) })
	return nil
}

// stopWhere stops every started sandbox that want takes, side by side, and waits.
func (s *Server) stopWhere(ctx context.Context, want func(id string) bool) error {
	s.mu.Lock()
	var chosen []*record
	for _, r := range s.sandboxes {
		if r.State == started {
			chosen = append(chosen, r)
		}
	}
	s.mu.Unlock()
	for _, r := range chosen {
		if want(r.ID) {
			_ = s.stopSandbox(r, false) // refused: it is changing already, or has just ended by itself
		}
	}
	s.wait()
	return ctx.Err()
}
