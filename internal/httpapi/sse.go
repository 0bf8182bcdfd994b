package httpapi

import (
	"bytes"
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
// a client that returns with done as its last event gets 204, which tells an EventSource to stay away.
func (s *Server) streamEvents(c echo.Context, caller auth.Caller, id string, after int64) error {
	ctx, stop := s.untilDrain(c)
	defer stop(nil)
	stream, err := s.Relay.Open(ctx, caller, store.Scope{JobID: id}, relay.AfterSeq(after))
	if err != nil {
		return err
	}
	defer stream.Close()
	over, err := s.nothingAfter(ctx, caller, id, after)
	if err != nil {
		return err
	}
	if over {
		return c.NoContent(http.StatusNoContent)
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	w := &eventWriter{rc: http.NewResponseController(c.Response()), w: c.Response(), wait: s.o.WriteWait}
	if err := w.send([]byte(": events follow\n\n")); err != nil || c.Request().Method == http.MethodHead {
		return nil
	}
	s.sendEvents(ctx, stream, w)
	return nil
}

// nothingAfter reports whether a job has ended and seq is its last event or later.
func (s *Server) nothingAfter(ctx context.Context, caller auth.Caller, id string, seq int64) (bool, error) {
	if seq == 0 {
		return false, nil // the first event is always there
	}
	j, err := s.Reads.Job(ctx, caller, id)
	return j.State.Terminal() && seq >= j.LastSeq, err
}

// sendEvents sends until done, or until the client has gone or the server drains: it returns with its last id.
func (s *Server) sendEvents(ctx context.Context, stream *relay.Stream, w *eventWriter) {
	defer func() { w.rc.SetWriteDeadline(time.Now().Add(w.wait)) }() // for what ends the answer
	for {
		pause, stop := context.WithTimeoutCause(ctx, s.o.Ping, errPing)
		events, err := stream.Next(pause)
		stop()
		switch {
		case errors.Is(err, errPing) && ctx.Err() == nil:
			err = w.send([]byte(": ping\n\n"))
		case err == nil:
			err = w.events(events)
		case ctx.Err() == nil:
			s.log.ErrorContext(ctx, "event stream broken", "err", err)
		}
		if err != nil || (len(events) > 0 && events[len(events)-1].Type == job.EventDone) {
			return
		}
	}
}

// errPing ends a wait for events: time to show that the connection lives.
var errPing = errors.New("time for a ping")

// eventWriter writes with a deadline for each write, and flushes each.
type eventWriter struct {
	rc   *http.ResponseController
	w    http.ResponseWriter
	wait time.Duration
}

func (w *eventWriter) events(events []job.Event) error {
	var b bytes.Buffer
	for _, e := range events {
		raw, err := json.Marshal(e)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "id: %d\ndata: %s\n\n", e.Seq, raw) // JSON has no line breaks
	}
	return w.send(b.Bytes())
}

func (w *eventWriter) send(raw []byte) error {
	if err := w.rc.SetWriteDeadline(time.Now().Add(timeFor(w.wait, len(raw)))); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := w.w.Write(raw); err != nil {
		return err
	}
	return w.rc.Flush()
}

// timeFor is how long a write of n bytes may take: a client must read 64 KiB a second.
func timeFor(wait time.Duration, n int) time.Duration {
	return wait + time.Duration(n>>16)*time.Second
}
