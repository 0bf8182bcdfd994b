package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"sandpiper/client"
)

// Batch is many prompts from a terminal: what programs want in Out, what people want on the screen.
type Batch struct {
	API    *client.Client
	Wait   bool   // go on until all its jobs have ended, and end with 1 unless all succeeded
	Output string // file for its results, which are waited for; "-" means Out, "" no results
	JSON   bool   // Out gets what the API says instead of the batch's id
	Out    io.Writer
	Screen *Screen
}

// ErrInterrupted says that a batch was not waited for to its end. It goes on.
var ErrInterrupted = errors.New("interrupted")

// Submit sends the lines of s, and names those with a fault. size is how many bytes that is, 0 if nobody knows.
func (b Batch) Submit(ctx context.Context, s client.SubmitBatch, size int64) (exit int, err error) {
	if err := writable(b.Output); err != nil { // before anything is paid
		return 1, err
	}
	if s.IdempotencyKey == "" {
		s.IdempotencyKey = rand.Text()
	}
	done := b.Screen.Await("sending")
	s.Lines = b.counted(s.Lines, size)
	a, err := b.API.SubmitBatch(ctx, s)
	done()
	var p *client.Problem
	switch {
	case errors.As(err, &p):
		return 1, b.refused(p, err)
	case ctx.Err() != nil:
		b.Screen.Line("interrupted before the API had answered: nothing was accepted, unless all of it had arrived. The same lines with --idempotency-key %s are never a second batch", s.IdempotencyKey)
		return 1, ErrInterrupted
	case err != nil:
		return 1, fmt.Errorf("%w\nif it was accepted all the same, these lines with --idempotency-key %s are the same batch, else a new one", err, s.IdempotencyKey)
	}
	return b.accepted(ctx, a)
}

// refused names every line with a fault on a line of its own.
func (b Batch) refused(p *client.Problem, err error) error {
	lines := 0
	for _, f := range p.Errors {
		if f.Line > 0 {
			b.Screen.Line("%s", b.Screen.paint(red, oneLine(f.String())))
			lines++
		}
	}
	if lines == 0 {
		return err
	}
	return errors.New("nothing was accepted, because of the lines above; --skip-bad leaves bad lines out")
}

// RetryFailed makes a batch of what failed in another one.
func (b Batch) RetryFailed(ctx context.Context, id, key string) (exit int, err error) {
	if err := writable(b.Output); err != nil {
		return 1, err
	}
	a, err := b.API.RetryFailed(ctx, id, key)
	if err != nil {
		return 1, err
	}
	return b.accepted(ctx, a)
}

// accepted says what was taken, and waits where that is wanted.
func (b Batch) accepted(ctx context.Context, a client.AcceptedBatch) (exit int, err error) {
	for _, f := range a.Errors {
		b.Screen.Line("%s", b.Screen.paint(amber, "left out: "+oneLine(f.String())))
	}
	b.Screen.Line("%d accepted, %d left out", a.Accepted, a.Rejected)
	switch {
	case b.Output == "-":
		b.Screen.Line("%s", a.BatchID)
	case b.JSON:
		err = writeJSON(b.Out, a)
	default:
		_, err = fmt.Fprintln(b.Out, a.BatchID)
	}
	if err != nil || !b.Wait && b.Output == "" {
		return 0, err
	}
	last, err := b.ended(ctx, a.BatchID)
	if err == nil && b.Output != "" {
		err = b.save(ctx, a.BatchID)
	}
	return verdict(last), err
}

// Status shows how a batch is.
func (b Batch) Status(ctx context.Context, id string) (exit int, err error) {
	now, err := b.API.Batch(ctx, id) // one that is not there, or an API that is away, is said at once
	if err == nil && b.Wait && !now.Ended() {
		now, err = b.ended(ctx, id)
	}
	if err != nil {
		return 1, err
	}
	if b.JSON {
		err = writeJSON(b.Out, now)
	} else {
		_, err = io.WriteString(b.Out, b.details(now))
	}
	if b.Wait {
		return verdict(now), err
	}
	return 0, err
}

// Results writes a batch's results, a line of JSON for every job, and says if some have not ended.
func (b Batch) Results(ctx context.Context, id string) (exit int, err error) {
	if err := writable(b.Output); err != nil {
		return 1, err
	}
	now, err := b.API.Batch(ctx, id)
	if err == nil && b.Wait && !now.Ended() {
		now, err = b.ended(ctx, id)
	}
	if err == nil {
		err = b.save(ctx, id)
	}
	switch {
	case err != nil:
		return 1, err
	case !now.Ended():
		b.Screen.Line("it has not ended: %s", countsOf(now))
	case b.Wait:
		return verdict(now), nil
	}
	return 0, nil
}

// Cancel asks for the end of all jobs of a batch.
func (b Batch) Cancel(ctx context.Context, id string) (exit int, err error) {
	now, err := b.API.CancelBatch(ctx, id)
	if err == nil && b.Wait && !now.Ended() {
		now, err = b.ended(ctx, id)
	}
	switch {
	case err != nil:
		return 1, err
	case b.JSON:
		return 0, writeJSON(b.Out, now)
	case now.Ended():
		_, err = fmt.Fprintf(b.Out, "%s has ended: %s\n", id, countsOf(now))
	default:
		_, err = fmt.Fprintf(b.Out, "%s was asked to end; `sandpiper batch status --wait %s` shows when it has\n", id, id)
	}
	return 0, err
}

// ended waits for a batch's end, and shows how far it is.
func (b Batch) ended(ctx context.Context, id string) (client.Batch, error) {
	done := b.Screen.Await("waiting for " + id)
	last, err := b.API.WaitBatch(ctx, id, func(now client.Batch) { b.Screen.Awaiting(countsOf(now)) })
	done()
	if err != nil && ctx.Err() != nil {
		b.Screen.Line("%s goes on: `sandpiper batch status --wait %s` waits for it again, `sandpiper batch cancel %s` ends it", id, id, id)
		return last, ErrInterrupted
	}
	if err == nil {
		b.Screen.Line("ended: %s", countsOf(last))
	}
	return last, err
}

// save writes the results where they are wanted. A file gets all of them, or stays as it was.
func (b Batch) save(ctx context.Context, id string) error {
	write := func(w io.Writer) error {
		lines, err := b.API.BatchResults(ctx, id)
		if err != nil {
			return err
		}
		defer lines.Close()
		if _, err = io.Copy(w, lines); err != nil {
			return fmt.Errorf("read the results of %s: %w", id, err)
		}
		return nil
	}
	switch {
	case b.Output != "" && b.Output != "-":
		return replace(b.Output, write)
	case IsTerminal(b.Out):
		var all bytes.Buffer // of what people can read
		err := write(&all)
		_, _ = io.WriteString(b.Out, safe(all.String()))
		return err
	}
	return write(b.Out)
}

// verdict is the exit code of a batch that has ended.
func verdict(b client.Batch) int {
	if b.Ended() && b.Counts[client.Succeeded] == b.Accepted {
		return 0
	}
	return 1
}

// order is that of a job's way.
var order = []client.State{client.Queued, client.Running, client.Succeeded, client.Failed, client.Cancelled, client.OutcomeUnknown}

// countsOf says how many jobs are in which state, and leaves out where there is none.
func countsOf(b client.Batch) string {
	var parts []string
	for _, s := range order {
		if n := b.Counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(parts, ", ")
}

func (b Batch) details(now client.Batch) string {
	var text strings.Builder
	row := func(name, value string) {
		fmt.Fprintf(&text, "%s  %s\n", b.Screen.paint(dim, fmt.Sprintf("%-10s", name)), value)
	}
	state := now.State
	if now.CancelRequested && !now.Ended() {
		state += " (asked to end)"
	}
	row("batch", now.BatchID)
	row("state", state)
	row("user", oneLine(now.UserID))
	row("accepted", fmt.Sprint(now.Accepted))
	row("left out", fmt.Sprint(now.Rejected))
	row("jobs", countsOf(now))
	row("cost", money(&now.CostUSD))
	row("created", stamp(now.CreatedAt))
	return text.String()
}
