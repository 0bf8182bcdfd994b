package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/relay"
	"sandpiper/internal/store"
)

// streamEvents sends a job's events as server-sent events, each with its seq as id. The stream ends after done, and
// a client that returns with done as its last event gets 204, which tells an EventSource to stay away. A stream that
// ends earlier says why in a comment, in the words of a WebSocket's close.
func (s *Server) streamEvents(c echo.Context, caller auth.Caller, id string, after int64) error {
	leave, err := s.hold(c, caller)
	if err != nil {
		return err
	}
	defer leave()
	ctx, stop := s.untilDrain(c)
	defer stop(nil)
	stream, err := s.Relay.Open(ctx, caller, store.Scope{JobID: id}, relay.AfterSeq(after))
	if err != nil {
		return unlessExpired(ctx, err)
	}
	defer stream.Close()
	over, err := s.nothingAfter(ctx, caller, id, after)
	if err != nil {
		return unlessExpired(ctx, err)
	}
	if over {
		return c.NoContent(http.StatusNoContent)
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	defer s.opened(overSSE)()
	w := &eventWriter{rc: http.NewResponseController(c.Response()), w: c.Response(), wait: s.o.WriteWait}
	if err := w.comment("events follow"); err != nil || c.Request().Method == http.MethodHead {
		return nil
	}
	var end Close
	if errors.As(s.sendEvents(ctx, stream, w), &end) {
		w.comment(end.Error()) // the client may have gone meanwhile
	}
	w.deadline(0) // for what ends the answer
	return nil
}

// nothingAfter reports whether a job has ended and seq is its last event or later.
func (s *Server) nothingAfter(ctx context.Context, caller auth.Caller, id string, seq int64) (bool, error) {
	if seq == 0 {
		return false, nil // the first event is always there
	}
	p, err := s.Reads.Progress(ctx, caller, id)
	return p.State.Terminal() && seq >= p.LastSeq, err
}

// sendEvents sends until done, or until the client has gone or the server drains. It returns why it stopped, nil
// after done.
func (s *Server) sendEvents(ctx context.Context, stream *relay.Stream, w *eventWriter) error {
	for {
		pause, stop := context.WithTimeoutCause(ctx, s.o.Ping, errPing)
		events, err := stream.Next(pause)
		stop()
		began := time.Now()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errPing):
			err = w.comment("ping")
		case err != nil:
			s.log.ErrorContext(ctx, "event stream broken", "err", err)
			return CloseTrouble
		default:
			err = s.sent(overSSE, len(events), w.events(ctx, events))
		}
		switch {
		case err != nil:
			return err
		case len(events) > 0 && events[len(events)-1].Type == job.EventDone:
			return nil
		case s.tooSlow(began, stream.CaughtUp()):
			return CloseSlow
		}
	}
}

// errPing ends a wait for events: time to show that the connection lives.
var errPing = errors.New("time for a ping")

// eventWriter writes with a deadline for each event, and flushes each batch.
type eventWriter struct {
	rc   *http.ResponseController
	w    http.ResponseWriter
	wait time.Duration
}

func (w *eventWriter) events(ctx context.Context, events []job.Event) error {
	for _, e := range events {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		raw, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if err := w.deadline(len(raw)); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w.w, "id: %d\ndata: %s\n\n", e.Seq, raw); err != nil { // JSON has no line breaks
			return err
		}
	}
	return w.rc.Flush()
}

// comment writes what an EventSource passes over, and people see.
func (w *eventWriter) comment(text string) error {
	if err := w.deadline(len(text)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w.w, ": %s\n\n", text); err != nil {
		return err
	}
	return w.rc.Flush()
}

// deadline gives the next n bytes their time. A client that takes none of them in time is cut off.
func (w *eventWriter) deadline(n int) error {
	err := w.rc.SetWriteDeadline(time.Now().Add(timeFor(w.wait, n)))
	if errors.Is(err, http.ErrNotSupported) { // in tests without a connection
		return nil
	}
	return err
}
