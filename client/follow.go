package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// Closed says that the API closed a socket and does not want it back. Its codes are 4500 to 4999.
type Closed struct {
	Code   int
	Reason string
}

func (c *Closed) Error() string {
	return fmt.Sprintf("the API closed the socket: %d %s", c.Code, c.Reason)
}

// Follow gives the events of a job whose seq is above after (0: all), each once and in order, and ends after done.
// A lost connection is made again, with the last seq, for as long as ctx lives. The second value is set at most
// once, as the last thing: a *Problem, a *Closed, or why ctx ended. Breaking out of the loop closes the socket.
func (c *Client) Follow(ctx context.Context, jobID string, after int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f := &follower{c: c, job: jobID, last: max(after, 0), yield: yield}
		err := f.run(ctx)
		switch {
		case errors.Is(err, errEnd):
		case ctx.Err() != nil:
			yield(Event{}, fmt.Errorf("follow job %s: %w", jobID, context.Cause(ctx)))
		default:
			yield(Event{}, fmt.Errorf("follow job %s: %w", jobID, err))
		}
	}
}

var (
	errEnd = errors.New("nothing more to give")  // done was given, or the reader has left
	errGap = errors.New("an event is missing")   // the socket jumped; the table has what it left out
	errWay = errors.New("the connection failed") // come back with the last seq
)

// follower is one Follow. Last is the seq that its reader has got.
type follower struct {
	c     *Client
	job   string
	last  int64
	yield func(Event, error) bool
}

// run makes sockets until one of them, or a look at the job, has brought the end. A job that was followed to its
// end before sends nothing more, so a resumed one is looked at first.
func (f *follower) run(ctx context.Context) error {
	if f.last > 0 {
		if err := f.look(ctx); err != nil && !errors.Is(err, errWay) {
			return err
		}
	}
	for n := 1; ; n++ {
		before := f.last
		err := f.socket(ctx)
		if ctx.Err() != nil || !errors.Is(err, errWay) {
			return err
		}
		if f.last > before {
			n = 1 // it got somewhere: come back quickly
		}
		if err := sleep(ctx, max(f.c.backoff(n), retryAfter(err))); err != nil {
			return err
		}
	}
}

// frame is what the reading side of a socket hands over.
type frame struct {
	event Event
	err   error
}

// socket reads one connection until it fails or the job has ended.
func (f *follower) socket(ctx context.Context) error {
	conn, err := f.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.CloseNow() // nothing is owed to the API: it drops the subscription
	ctx, stop := context.WithCancel(ctx)
	frames := make(chan frame)
	go read(ctx, conn, frames)
	defer func() {
		stop()
		for range frames { // the reader closes it: no goroutine is left behind
		}
	}()
	quiet := time.NewTimer(f.c.quiet)
	defer quiet.Stop()
	for {
		select {
		case r, open := <-frames:
			if !open {
				return context.Cause(ctx)
			}
			if r.err != nil {
				return ended(r.err)
			}
			if err := f.give(ctx, r.event); err != nil {
				return err
			}
		case <-quiet.C:
			if err := f.check(ctx, conn); err != nil {
				return err
			}
		}
		quiet.Reset(f.c.quiet)
	}
}

func (f *follower) dial(ctx context.Context) (*websocket.Conn, error) {
	q := f.c.asUser(url.Values{"jobId": {f.job}, "after": {strconv.FormatInt(f.last, 10)}})
	conn, r, err := websocket.Dial(ctx, f.c.url("/ws", q), &websocket.DialOptions{HTTPClient: f.c.http, HTTPHeader: f.c.header()})
	if err == nil {
		conn.SetReadLimit(-1) // an answer may be long, and it is one message
		return conn, nil
	}
	if r != nil && r.StatusCode/100 != 1 { // else: no answer, or a handshake that broke off
		err = problemOf(r)
	}
	return nil, onTheWay(err)
}

// read hands over what comes until the connection ends, then closes frames.
func read(ctx context.Context, conn *websocket.Conn, frames chan<- frame) {
	defer close(frames)
	for {
		var r frame
		var raw []byte
		if _, raw, r.err = conn.Read(ctx); r.err == nil {
			r.err = json.Unmarshal(raw, &r.event)
		}
		select {
		case frames <- r:
		case <-ctx.Done():
			return
		}
		if r.err != nil {
			return
		}
	}
}

// ended says what the end of a socket means. Only codes of 4500 and above say that coming back is useless.
func ended(err error) error {
	var c websocket.CloseError
	if errors.As(err, &c) && c.Code >= 4500 && c.Code < 5000 {
		return &Closed{Code: int(c.Code), Reason: c.Reason}
	}
	return fmt.Errorf("%w: %w", errWay, err)
}

// onTheWay tells a fault of the way, after which coming back helps, from a refusal. A server that answers 500 may
// answer better another time; a follower has all the time that its ctx has.
func onTheWay(err error) error {
	var p *Problem
	if errors.As(err, &p) && p.Status < 500 && !p.transient() {
		return err
	}
	return fmt.Errorf("%w: %w", errWay, err)
}

// check asks a silent socket whether it lives, and the API whether there is something that it did not send: a lost
// message then costs time and never an event.
func (f *follower) check(ctx context.Context, conn *websocket.Conn) error {
	within, stop := context.WithTimeout(ctx, f.c.quiet)
	defer stop()
	if err := conn.Ping(within); err != nil {
		return fmt.Errorf("%w: %w", errWay, err)
	}
	return f.look(ctx)
}

// look gives what the table has after last, and ends if the job has ended.
func (f *follower) look(ctx context.Context) error {
	j, err := f.c.Job(ctx, f.job, 0) // first the state, then the events: an ended job gets no more of them
	if err != nil {
		return onTheWay(err)
	}
	if err := f.fill(ctx); err != nil {
		return err
	}
	if j.State.Ended() {
		return errEnd
	}
	return nil
}

// fill gives every event that the table has after last.
func (f *follower) fill(ctx context.Context) error {
	for {
		page, err := f.c.Events(ctx, f.job, f.last, 0)
		if err != nil {
			return onTheWay(err)
		}
		f.last = max(f.last, page.Gone) // nobody has these any more
		for _, e := range page.Items {
			if err := f.take(e); err != nil {
				return err
			}
		}
		if page.Next == nil || len(page.Items) == 0 {
			return nil
		}
	}
}

// give takes an event from the socket. Where the socket jumped, the table is read first.
func (f *follower) give(ctx context.Context, e Event) error {
	err := f.take(e)
	if !errors.Is(err, errGap) {
		return err
	}
	if err := f.fill(ctx); err != nil {
		return err
	}
	return f.take(e)
}

// take gives an event to the reader, unless it was given before. errGap means that one before it is missing.
func (f *follower) take(e Event) error {
	switch {
	case e.JobID != f.job || e.Seq <= f.last:
		return nil
	case e.Seq > f.last+1:
		return fmt.Errorf("%w: %d comes after %d", errGap, e.Seq, f.last)
	}
	f.last = e.Seq
	if !f.yield(e, nil) || e.Type == EventDone {
		return errEnd
	}
	return nil
}
