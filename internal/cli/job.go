package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sandpiper/client"
)

// Job shows one job.
type Job struct {
	API    *client.Client
	ID     string
	Events bool // its events instead of its details
	Follow bool // its events as they come, until it has ended
	JSON   bool // the job, or one event a line, as the API gives it
	Out    io.Writer
	Screen *Screen // only for its colours: what was asked for goes to Out
}

// Show prints it. The exit code is the job's when it was followed, else 0.
func (v Job) Show(ctx context.Context) (exit int, err error) {
	j, err := v.API.Job(ctx, v.ID, 0)
	switch {
	case err != nil:
		return 1, err
	case v.Follow:
		return v.follow(ctx, j.Timings.CreatedAt)
	case v.Events:
		return 0, v.events(ctx, j.Timings.CreatedAt)
	case v.JSON:
		return 0, writeJSON(v.Out, viewOf(j))
	}
	return 0, v.details(j)
}

func (v Job) follow(ctx context.Context, began time.Time) (exit int, err error) {
	for e, err := range v.API.Follow(ctx, v.ID, 0) {
		if err != nil {
			return 1, err
		}
		if err := v.event(e, began); err != nil {
			return 1, err
		}
		exit = e.ExitCode
	}
	return exit, nil
}

func (v Job) events(ctx context.Context, began time.Time) error {
	for after := int64(0); ; {
		p, err := v.API.Events(ctx, v.ID, after, 0)
		if err != nil {
			return err
		}
		for _, e := range p.Items {
			if err := v.event(e, began); err != nil {
				return err
			}
		}
		if p.Next == nil {
			return nil
		}
		after = *p.Next
	}
}

// event prints one event; here the answer is one of them.
func (v Job) event(e client.Event, began time.Time) error {
	if v.JSON {
		return writeJSON(v.Out, eventOf(e))
	}
	text := describe(e)
	if e.Type == client.EventResult {
		text = e.Data
	}
	_, err := fmt.Fprintln(v.Out, eventLine(v.Screen, e, text, e.At().Sub(began)))
	return err
}

func (v Job) details(j client.Job) error {
	var b strings.Builder
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s  %s\n", v.Screen.paint(dim, fmt.Sprintf("%-10s", name)), value)
		}
	}
	row("job", j.JobID)
	row("state", v.Screen.paint(statePaint(j.State), string(j.State))+waiting(j))
	row("user", oneLine(j.UserID))
	row("sandbox", j.SandboxID)
	row("model", j.Model)
	row("priority", j.Priority)
	row("retry of", j.RetryOf)
	row("timeout", (time.Duration(j.TimeoutSeconds) * time.Second).String())
	row("created", stamp(j.Timings.CreatedAt))
	row("started", stamp(j.Timings.StartedAt))
	row("ended", stamp(j.Timings.EndedAt))
	row("attempts", fmt.Sprint(j.Attempt))
	for _, u := range j.Usage {
		row("tokens", fmt.Sprintf("%s: %d in, %d out, %d read from cache, %d written to it",
			u.Model, u.InputTokens, u.OutputTokens, u.CacheReadTokens, u.CacheWriteTokens))
	}
	row("cost", money(j.CostUSD))
	if j.ExitCode != nil {
		row("exit code", fmt.Sprint(*j.ExitCode))
	}
	if j.Error != nil {
		row("error", v.Screen.paint(red, oneLine(j.Error.Code+": "+j.Error.Message)))
	}
	if j.Result != nil {
		fmt.Fprintf(&b, "\n%s\n", safe(strings.TrimRight(j.Result.Text, "\n")))
	}
	_, err := io.WriteString(v.Out, b.String())
	return err
}

// waiting says why a job is not further.
func waiting(j client.Job) string {
	switch {
	case j.State.Ended():
		return ""
	case j.CancelRequested:
		return " (asked to end)"
	case j.WaitingFor != "":
		return " (waiting for " + j.WaitingFor + ")"
	}
	return ""
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05.000")
}

// Retry runs a job that has ended again, and says under which id.
func Retry(ctx context.Context, api *client.Client, id string, out io.Writer) error {
	next, err := api.Retry(ctx, id)
	var p *client.Problem
	switch {
	case errors.As(err, &p) && p.Code == "JOB_NOT_FINISHED":
		return fmt.Errorf("%s has not ended; `sandpiper job -f %s` shows when it has", id, id)
	case err != nil:
		return err
	}
	fmt.Fprintf(out, "%s\n", next)
	return nil
}

// Cancel asks for a job's end and says what became of it.
func Cancel(ctx context.Context, api *client.Client, id string, out io.Writer) error {
	j, err := api.Cancel(ctx, id)
	var p *client.Problem
	switch {
	case errors.As(err, &p) && p.Code == "JOB_FINISHED":
		return fmt.Errorf("%s has ended already; `sandpiper job %s` shows how", id, id)
	case err != nil:
		return err
	case j.State.Ended():
		fmt.Fprintf(out, "%s %s\n", id, j.State)
	default:
		fmt.Fprintf(out, "%s was asked to end; `sandpiper job -f %s` shows when it has\n", id, id)
	}
	return nil
}
