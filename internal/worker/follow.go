package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sandpiper/internal/claude"
	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/run"
	"sandpiper/internal/store"
	"sandpiper/internal/telemetry"
)

// patience is how long a sandbox may be silent before the job is given up as unknown: the platform may be down for
// hours while the prompt goes on.
const patience = 6 * time.Hour

// reader follows the output of the attempt's run from its first byte. Events come only from what lies behind the
// stored offset: another attempt has committed the rest.
type reader struct {
	a       *attempt
	decoder claude.Decoder
	pieces  *pieces
	heard   heard // in what was decoded last
	next    int64
}

func (a *attempt) reader() *reader { return &reader{a: a, pieces: a.w.pieces(a.job.Spec)} }

// follow sees the launched run to its end: its own, that of the time it has left, or a cancellation's.
func (a *attempt) follow(ctx, final context.Context, left time.Duration) (decision, error) {
	limited, stop := context.WithTimeoutCause(ctx, left, errDeadline)
	defer stop()
	r := a.reader()
	ending, err := r.read(limited, final)
	cause := context.Cause(limited)
	switch {
	case err == nil:
		return r.verdict(final, ending)
	case errors.Is(cause, errDeadline), errors.Is(cause, errCancelled):
		return r.stopped(final, cause)
	default:
		return decision{}, err
	}
}

// read follows until the run is over and everything that it showed is committed. ctx says how long to wait for more; what
// was read is committed whatever became of ctx, while final lasts.
func (r *reader) read(ctx, final context.Context) (claude.Ending, error) {
	var fault telemetry.Spell
	silent := time.Now()
	for wait := 100 * time.Millisecond; ; {
		poll := run.Poll{Offset: r.next, Wait: r.a.w.o.Poll, Gather: r.a.w.o.Gather, Attempt: r.a.id.Number}
		chunk, err := poll.Follow(ctx, r.a.box, r.a.run.ID)
		switch {
		case err != nil && ctx.Err() != nil:
			return claude.Ending{}, context.Cause(ctx)
		case err != nil && (errors.Is(err, daytona.ErrNotFound) || time.Since(silent) > patience || !r.a.mayHeal(ctx, err)):
			return claude.Ending{}, unanswered{err}
		case err != nil:
			r.a.note(ctx, &fault, "output", err)
			if !pause(ctx, wait) {
				return claude.Ending{}, context.Cause(ctx)
			}
			wait = min(2*wait, 5*time.Second)
			continue
		}
		r.a.note(ctx, &fault, "output", nil)
		silent, wait = time.Now(), 100*time.Millisecond
		if err := r.take(final, chunk); err != nil {
			return claude.Ending{}, err
		}
		if chunk.Ended || chunk.Gone {
			return claude.Ending{
				Exit: chunk.Exit, Killed: chunk.Gone, Stderr: r.a.w.mask.text(string(chunk.Stderr)),
				Announced: true, Resumed: r.a.run.Resume != "",
			}, nil
		}
	}
}

// unanswered means that the sandbox of a launched run is gone, or silent for too long: nobody can know its outcome.
type unanswered struct{ err error }

func (u unanswered) Error() string { return fmt.Sprintf("the sandbox of a launched run: %v", u.err) }
func (u unanswered) Unwrap() error { return u.err }

// take decodes a chunk and commits what it tells, with the offset, in one step. A last chunk that shows nothing is left to
// the outcome: whoever takes over before that reads it again.
func (r *reader) take(ctx context.Context, chunk run.Chunk) error {
	a := r.a
	old := min(max(0, a.run.Offset-r.next), int64(len(chunk.Data)))
	r.events(chunk.Data[:old]) // shown by another attempt
	r.heard = heard{}
	events := r.events(chunk.Data[old:])
	r.next = chunk.Next
	if chunk.Next <= a.run.Offset {
		return nil
	}
	if chunk.Ended && len(events) == 0 { // what it tells besides is in the outcome, which is the next commit
		a.run.Usage = a.w.mask.usage(r.decoder.Usage())
		a.heed(ctx, r.heard)
		return nil
	}
	b := store.Batch{RunID: a.run.ID, From: a.run.Offset, To: chunk.Next, Usage: a.w.mask.usage(r.decoder.Usage()), Events: events}
	if err := a.append(ctx, b); err != nil {
		return err
	}
	a.run.Offset, a.run.Usage = chunk.Next, b.Usage
	a.heed(ctx, r.heard)
	return nil
}

// events are what the next bytes of the output are worth.
func (r *reader) events(data []byte) []job.Event {
	var events []job.Event
	for _, item := range r.decoder.Lines(data) {
		r.pieces.hear(item)
		r.heard.hear(item)
		if line := tell(item); line != "" {
			events = append(append(events, r.pieces.show()...), job.Log(time.Now(), line))
		}
	}
	return append(events, r.pieces.show()...)
}

// tell is the line that an item of the output is worth, "" for none. Text is not told here: see pieces.
func tell(item claude.Item) string {
	switch i := item.(type) {
	case claude.Retry:
		return fmt.Sprintf("claude asks the API again in %.1f s (%d of %d): %s", i.Delay.Seconds(), i.Attempt, i.Max, reason(i))
	case claude.Denied:
		return fmt.Sprintf("claude was refused the tool %s", i.Tool)
	case claude.Fallback:
		return fmt.Sprintf("claude goes on with the model %s instead of %s", i.To, i.From)
	}
	return ""
}

func reason(r claude.Retry) string {
	if r.Status == 0 {
		return r.Error
	}
	return fmt.Sprintf("%s (%d)", r.Error, r.Status)
}

// stopped ends the run and reads what it still had to say. An answer that came first is taken all the same: it is
// paid.
func (r *reader) stopped(ctx context.Context, cause error) (decision, error) {
	if err := r.stop(ctx); err != nil {
		return decision{}, err
	}
	ending, err := r.read(ctx, ctx)
	if err != nil {
		return decision{}, err
	}
	if v := r.decoder.Judge(ending); v.Class != claude.ClassSucceeded {
		if errors.Is(cause, errPoisoned) {
			return r.a.poisoned(v.Usage, ending.Exit), nil
		}
		ending.Timeout, ending.Cancelled = errors.Is(cause, errDeadline), errors.Is(cause, errCancelled)
	}
	return r.verdict(ctx, ending)
}

// stop returns when nothing of the run is left. What cannot be ended from inside is ended with its sandbox. It ends
// nothing of a run that another attempt may own: the lease is looked at before, and the sandbox refuses an older attempt.
func (r *reader) stop(ctx context.Context) error {
	a := r.a
	const mostAsked = 5
	var fault telemetry.Spell
	for asked := 1; ; asked++ {
		err := errUncertain
		if a.lease() > 0 {
			err = run.Stop(ctx, a.box, a.run.ID, a.id.Number, a.w.o.Grace)
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, job.ErrLost):
			return err
		}
		a.note(ctx, &fault, "stop", err)
		if asked%mostAsked == 0 {
			err = a.halt(ctx)
		}
		switch {
		case errors.Is(err, daytona.ErrNotFound):
			return unanswered{err}
		case errors.Is(err, job.ErrLost):
			return err
		}
		a.mayHeal(ctx, err)
		pause(ctx, min(time.Second, a.w.o.Beat))
	}
}

// errUncertain means that no beat went through for a lease: another attempt may own the job by now.
var errUncertain = errors.New("whether the job is still this attempt's is not known")

// halt stops the attempt's sandbox by force, and with it whatever runs there. The platform knows no attempts: so SQL is
// asked right before, and the request is given up when the lease that SQL has just extended may be over.
func (a *attempt) halt(ctx context.Context) error {
	if err := a.confirm(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.lease())
	defer cancel()
	return a.w.boxes.Halt(ctx, a.sandbox)
}

// confirm asks SQL whether the job is still this attempt's. job.ErrLost says that it is not.
func (a *attempt) confirm(ctx context.Context) error {
	began := time.Now()
	beat, err := a.w.rows.Beat(ctx, a.w.o.Name, []job.Attempt{a.id}, a.w.o.Lease)
	if err == nil && len(beat.Lost) > 0 {
		err = job.ErrLost
	}
	if err == nil {
		a.w.held.beaten([]job.Attempt{a.id}, began)
	}
	return err
}

// verdict judges the end, and decides.
func (r *reader) verdict(ctx context.Context, e claude.Ending) (decision, error) {
	v := r.decoder.Judge(e)
	v.Text = r.a.w.mask.text(v.Text) // before anything is cut from it
	if why := r.a.stopped; why != "" && v.Class != claude.ClassSucceeded {
		v.Message += ": the sandbox was stopped: " + why
		if err := r.a.say(ctx, "the sandbox was stopped: "+why); err != nil {
			return decision{}, err
		}
	}
	d := r.a.decide(v, e.Exit)
	d.trouble = r.a.trouble(v)
	return d, nil
}
