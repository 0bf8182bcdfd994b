package relay

import (
	"context"
	"fmt"

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
	caughtUp bool // the last look found the end: wait before the next one
	wake     <-chan struct{}
	stop     func()
}

// Open opens a stream for c. When it returns, its position is taken: nothing that is committed from now on is
// missed. A job that is not there, or not c's, is job.ErrNotFound. Close the stream in the end.
func (r *Relay) Open(ctx context.Context, c auth.Caller, sc store.Scope, start Start) (*Stream, error) {
	if start.kind == afterSeq && sc.JobID == "" {
		return nil, errStart
	}
	if sc.JobID != "" {
		if _, err := r.events.Events(ctx, c, sc.JobID, 0, 1); err != nil {
			return nil, fmt.Errorf("open a stream of job %s: %w", sc.JobID, err)
		}
	}
	s := &Stream{relay: r, caller: c, scope: sc, bySeq: start.kind == afterSeq, after: start.after}
	s.wake, s.stop = r.Watch(topicOf(c, sc)) // before the position is read: nothing comes between
	if start.kind == live {
		head, err := r.events.Head(ctx)
		if err != nil {
			s.stop()
			return nil, fmt.Errorf("open a live stream: %w", err)
		}
		s.after = head
	}
	return s, nil
}

// Close lets go of the stream.
func (s *Stream) Close() { s.stop() }

// Next waits until there are events after the last ones it returned, and returns the next few. It fails when SQL
// cannot be read (calling again goes on where it was) and with ctx's cause when ctx has ended.
func (s *Stream) Next(ctx context.Context) ([]job.Event, error) {
	for {
		if s.caughtUp {
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-s.wake:
			}
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

// CaughtUp reports whether the last look found the end of what there is.
func (s *Stream) CaughtUp() bool { return s.caughtUp }

// look reads what is in SQL after the stream's position and moves it on.
func (s *Stream) look(ctx context.Context) (events []job.Event, err error) {
	if s.bySeq {
		events, err = s.relay.events.Events(ctx, s.caller, s.scope.JobID, s.after, s.relay.batch)
	} else {
		events, err = s.relay.events.Stream(ctx, s.caller, s.scope, s.after, s.relay.batch)
	}
	if n := len(events); err == nil && n > 0 {
		s.after = events[n-1].Position
		if s.bySeq {
			s.after = events[n-1].Seq
		}
	}
	return events, err
}
