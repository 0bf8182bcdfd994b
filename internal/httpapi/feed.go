package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/coder/websocket"

	"sandpiper/internal/job"
	"sandpiper/internal/relay"
)

// feed is one open socket. At most one batch of the relay waits in memory for it: what a slow client has not read
// stays in SQL.
type feed struct {
	s      *Server
	conn   *websocket.Conn
	stream *relay.Stream
	stop   context.CancelCauseFunc // ends run's context; the cause is how to close
}

// errLeft is the cause when a client closes its socket.
var errLeft = errors.New("the client left")

// goodbye is how long a client has, once its socket is to end, for what is being written and to answer a close.
const goodbye = time.Second

// run sends events until ctx ends, the client leaves, or one of them fails. The socket stays open after done: the
// next job of a user comes on the same one.
func (f *feed) run(ctx context.Context) {
	reading, hangUp := context.WithCancel(context.WithoutCancel(ctx))  // its end cuts the connection
	context.AfterFunc(ctx, func() { time.AfterFunc(goodbye, hangUp) }) // also while a write waits for its client
	var reader sync.WaitGroup
	reader.Go(func() { f.read(reading) })
	f.stop(f.send(ctx))

	var end Close
	if errors.As(context.Cause(ctx), &end) {
		f.conn.Close(end.Code, end.Reason)
	}
	hangUp()
	f.conn.CloseNow()
	reader.Wait()
}

// send writes what the stream gives, and asks whether the client is there when there is nothing. It returns why it
// stopped.
func (f *feed) send(ctx context.Context) error {
	for {
		pause, stop := context.WithTimeoutCause(ctx, f.s.o.Ping, errPing)
		events, err := f.stream.Next(pause)
		stop()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errPing):
			err = f.ping(ctx)
		case err != nil:
			f.s.log.ErrorContext(ctx, "socket broken", "err", err)
			return CloseTrouble
		default:
			err = f.write(ctx, events)
		}
		if err != nil {
			return err
		}
	}
}

// write sends a batch, one message an event.
func (f *feed) write(ctx context.Context, events []job.Event) error {
	began := time.Now()
	for _, e := range events {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := f.message(e); err != nil {
			return err
		}
	}
	if f.s.tooSlow(began, f.stream.CaughtUp()) {
		return CloseSlow
	}
	return nil
}

// message sends one event. A client that takes none of it in time is cut off: in the middle of a message there is
// no saying goodbye. ctx does not end the write, for the same reason.
func (f *feed) message(e job.Event) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	bound, stop := context.WithTimeout(context.Background(), timeFor(f.s.o.WriteWait, len(raw)))
	defer stop()
	return f.s.sent(overWebSocket, 1, f.conn.Write(bound, websocket.MessageText, raw))
}

// ping asks whether the client is there, in a pause between events: never behind a long message that it reads.
func (f *feed) ping(ctx context.Context) error {
	bound, stop := context.WithTimeout(ctx, f.s.o.WriteWait)
	defer stop()
	if err := f.conn.Ping(bound); err != nil && ctx.Err() == nil {
		return CloseSilent
	}
	return nil
}

// read answers pings and closes, and passes over whatever a client says: there is nothing to say here.
func (f *feed) read(ctx context.Context) {
	for {
		_, r, err := f.conn.Reader(ctx)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			f.stop(errLeft)
			return
		}
	}
}
