package relay

import (
	"context"
	"fmt"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// Start says where a stream begins.
type Start struct {
	kind  startKind
	after int64
}

type startKind int

const (
	live startKind = iota
	afterSeq
	afterPosition
)

// Live starts with what happens after the stream was opened.
func Live() Start { return Start{kind: live} }

// AfterSeq starts with the event after seq in one job; 0 means its first event.
func AfterSeq(seq int64) Start { return Start{kind: afterSeq, after: seq} }

// AfterPosition starts with the event after a position in the stream of a user, a batch or a tenant.
func AfterPosition(position int64) Start { return Start{kind: afterPosition, after: position} }

// Stream gives the events of a scope from its start on, each once, in order. It belongs to one goroutine.
type Stream struct {
	relay    *Relay
	caller   auth.Caller
	scope    store.Scope
	bySeq    bool // after is a seq of one job, not a position
	after    int64
	caughtUp bool          // the last look found the end: wait before the next one
	held     time.Duration // the last look found something that is held back: how long to wait; 0 is nothing
	wake     <-chan struct{}
	stop     func()
}

// Open opens a stream for c. When it returns, its position is taken: nothing that is committed from now on is
// missed. A job that is not there, or not c's, is job.ErrNotFound. Close the stream in the end.
func (r *Relay) Open(ctx context.Context, c auth.Caller, sc store.Scope, start Start) (*Stream, error) {
	if start.kind == afterSeq && sc.JobID == "" {
		return nil, errStart
	}
	s := &Stream{relay: r, caller: c, scope: sc, bySeq: start.kind == afterSeq, after: start.after}
	s.wake, s.stop = r.Watch(topicOf(c, sc)) // before the position is read: nothing comes between
	if err := s.begin(ctx, start.kind == live); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// begin looks whether there is such a job, and where a live stream begins. That of one job goes by seq: it has no need
// to wait until what others do at the same time is settled.
func (s *Stream) begin(ctx context.Context, live bool) (err error) {
	if id := s.scope.JobID; id != "" {
		p, err := s.relay.events.Progress(ctx, s.caller, id)
		if err != nil {
			return fmt.Errorf("open a stream of job %s: %w", id, err)
		}
		if live {
			s.bySeq, s.after = true, p.LastSeq
		}
		return nil
	}
	if live {
		if s.after, err = s.relay.events.Head(ctx); err != nil {
			return fmt.Errorf("open a live stream: %w", err)
		}
	}
	return nil
}

// Close lets go of the stream.
func (s *Stream) Close() { s.stop() }

// Next waits until there are events after the last ones it returned, and returns the next few. It fails when SQL
// cannot be read (calling again goes on where it was) and with ctx's cause when ctx has ended.
func (s *Stream) Next(ctx context.Context) ([]job.Event, error) {
	for {
		if err := s.wait(ctx); err != nil {
			return nil, err
		}
		events, err := s.look(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, fmt.Errorf("read the events after %d: %w", s.after, err)
		}
		s.caughtUp = len(events) < s.relay.batch && !store.Cut(events)
		if len(events) > 0 {
			return events, nil
		}
	}
}

// How long a stream waits for what is held back, at first and at most.
const (
	shortly = 2 * time.Millisecond
	atMost  = 250 * time.Millisecond
)

// wait waits, after a look that found the end, until it is worth while to look again.
func (s *Stream) wait(ctx context.Context) error {
	if !s.caughtUp {
		return nil
	}
	var soon <-chan time.Time
	if s.held > 0 {
		timer := time.NewTimer(s.held)
		defer timer.Stop()
		soon = timer.C
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.wake:
	case <-soon:
	}
	return nil
}

// CaughtUp reports whether the last look found the end of what there is.
func (s *Stream) CaughtUp() bool { return s.caughtUp }

// look reads what is in SQL after the stream's position and moves it on.
func (s *Stream) look(ctx context.Context) (events []job.Event, err error) {
	held := false
	if s.bySeq {
		events, err = s.relay.events.Events(ctx, s.caller, s.scope.JobID, s.after, s.relay.batch)
	} else {
		events, held, err = s.relay.events.Stream(ctx, s.caller, s.scope, s.after, s.relay.batch)
	}
	switch {
	case !held:
		s.held = 0
	case len(events) > 0:
		s.held = shortly
	default:
		s.held = min(max(2*s.held, shortly), atMost)
	}
	if n := len(events); err == nil && n > 0 {
		s.after = events[n-1].Position
		if s.bySeq {
			s.after = events[n-1].Seq
		}
	}
	return events, err
}
