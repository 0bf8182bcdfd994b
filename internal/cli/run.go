package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"sandpiper/client"
)

// Run is one prompt from a terminal: its events on the screen, its answer in Out and nothing else there.
type Run struct {
	API    *client.Client
	Job    client.Submit
	JSON   bool      // Out gets the whole job instead of the answer
	Out    io.Writer // for programs
	Screen *Screen   // for people

	Patience time.Duration // how long an interrupted submission may still take, so that it is known of; 0 means 3 s

	written *streamed // of a job that streams
}

// Run submits the prompt, follows the job and gives its exit code. When ctx ends the job is asked to end, and Run goes
// on until it has.
func (r Run) Run(ctx context.Context) (exit int, err error) {
	if r.Job.Stream {
		r.written = newStreamed(r)
		defer r.Screen.EndText()
	}
	began := time.Now()
	id, err := r.submit(ctx)
	if err != nil {
		return 1, err
	}
	r.Screen.Line("%s", r.Screen.paint(dim, id))
	last, err := r.follow(ctx, id, began)
	if err != nil {
		return 1, err
	}
	j, err := r.API.Job(context.WithoutCancel(ctx), id, 0)
	if err != nil {
		return 1, err
	}
	r.Screen.Line("%s", r.Screen.paint(dim, endLine(j)))
	return last.ExitCode, r.print(j)
}

// submit hands the prompt over. Its key is made here, so that a repeat after a lost answer is the same job.
func (r Run) submit(ctx context.Context) (id string, err error) {
	if r.Job.IdempotencyKey == "" {
		r.Job.IdempotencyKey = rand.Text()
	}
	done := r.Screen.Await("submitting")
	defer done()
	late, stop := outlive(ctx, cmp.Or(r.Patience, 3*time.Second))
	defer stop()
	if id, err = r.API.Submit(late, r.Job); err != nil && ctx.Err() != nil {
		return "", errors.New("interrupted before the API had answered; if the job got there, `sandpiper jobs` shows it")
	}
	return id, err
}

// Unreachable reports whether err says that nobody answers where the API should be.
func Unreachable(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) || errors.As(err, &dns) || errors.Is(err, context.DeadlineExceeded)
}

// outlive gives a context that ends by after ctx does.
func outlive(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(by, cancel) })
	return late, func() { stop(); cancel() }
}

// follow shows the events until done, and asks for the job's end when ctx ends.
func (r Run) follow(ctx context.Context, id string, began time.Time) (last client.Event, err error) {
	done := r.Screen.Await(string(client.Queued))
	defer done()
	watching, leave := context.WithCancelCause(context.WithoutCancel(ctx))
	defer leave(nil)
	stop := context.AfterFunc(ctx, func() { r.cancel(watching, id, leave) })
	defer stop()
	for e, err := range r.API.Follow(watching, id, 0) {
		if err != nil {
			return last, err
		}
		r.show(e, began)
		last = e
	}
	return last, nil
}

// cancel asks for the job's end. Where that is refused because it has ended, its last events are on their way.
func (r Run) cancel(ctx context.Context, id string, leave context.CancelCauseFunc) {
	r.Screen.Line("%s", r.Screen.paint(amber, "cancelling "+id+"; interrupt again to leave it to itself"))
	r.Screen.Awaiting("cancelling")
	_, err := r.API.Cancel(ctx, id)
	var p *client.Problem
	if err != nil && (!errors.As(err, &p) || p.Code != "JOB_FINISHED") {
		leave(fmt.Errorf("%w; the job may go on: `sandpiper cancel %s` asks again", err, id))
	}
}

// show prints one event and says what is awaited next.
func (r Run) show(e client.Event, began time.Time) {
	if e.Type == client.EventPartial && r.written != nil {
		r.written.add(e.Data)
		return
	}
	if e.Type == client.EventState && !e.State.Ended() {
		r.Screen.Awaiting(string(e.State))
	}
	if text := describe(e); text != "" {
		r.Screen.Line("%s", eventLine(r.Screen, e, text, e.At().Sub(began)))
	}
}

// print gives the answer to Out: as it is, or without control characters where a terminal would obey them.
func (r Run) print(j client.Job) error {
	if r.JSON {
		return writeJSON(r.Out, viewOf(j))
	}
	if j.Result == nil {
		return nil
	}
	text := j.Result.Text
	if j.Result.Format == "json" && len(j.Result.JSON) > 0 {
		text = string(j.Result.JSON)
	}
	if r.written.told(text) {
		return nil
	}
	if IsTerminal(r.Out) {
		text = safe(text)
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, err := io.WriteString(r.Out, text)
	return err
}

// endLine says how a job ended, how long it took and what it cost.
func endLine(j client.Job) string {
	var in, out int64
	for _, u := range j.Usage {
		in += u.InputTokens + u.CacheReadTokens + u.CacheWriteTokens
		out += u.OutputTokens
	}
	took := time.Duration(j.Timings.QueuedMS+j.Timings.RunMS) * time.Millisecond
	return fmt.Sprintf("%s in %.2fs, %d tokens in, %d out, cost %s", j.State, took.Seconds(), in, out, money(j.CostUSD))
}
