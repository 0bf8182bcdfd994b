package cli

import (
	"fmt"
	"io"
	"time"

	"sandpiper/client"
)

// show prints one event as a line, with the time since began.
func show(w io.Writer, e client.Event, began time.Time) {
	if text := describe(e); text != "" {
		fmt.Fprintln(w, eventLine(&Screen{}, e, text, e.At().Sub(began)))
	}
}

// eventLine is one event on a line: when, what, and in words.
func eventLine(s *Screen, e client.Event, text string, since time.Duration) string {
	return fmt.Sprintf("  %s  %s  %s",
		s.paint(dim, fmt.Sprintf("%6.2fs", max(0, since).Seconds())),
		s.paint(dim, fmt.Sprintf("%-6s", e.Type)), s.paint(paintOf(e), oneLine(text)))
}

func paintOf(e client.Event) paint {
	switch {
	case e.Type == client.EventError || (e.Type == client.EventDone && e.ExitCode != 0):
		return red
	case e.Type == client.EventLog && e.Level != "info" && e.Level != "":
		return amber
	}
	return dim
}

// describe says in a few words what happened; "" for what is shown elsewhere.
func describe(e client.Event) string {
	switch e.Type {
	case client.EventLog, client.EventPartial:
		return e.Data
	case client.EventError:
		return e.Code + ": " + e.Message
	case client.EventDone:
		return fmt.Sprintf("exit code %d", e.ExitCode)
	case client.EventState:
		if e.Reason != "" {
			return fmt.Sprintf("%s (%s)", e.State, e.Reason)
		}
		return string(e.State)
	case client.EventResult:
		return "" // the answer is printed whole, after the events
	default:
		return e.Data
	}
}

// summary says what a job cost and how long it took.
func summary(w io.Writer, j client.Job, offline bool) {
	var in, out int64
	for _, u := range j.Usage {
		in += u.InputTokens + u.CacheReadTokens + u.CacheWriteTokens
		out += u.OutputTokens
	}
	fmt.Fprintf(w, "  tokens: %d in, %d out; cost: %s\n", in, out, cost(j.CostUSD, offline))
}

func cost(usd *float64, offline bool) string {
	switch {
	case offline:
		return "$0 (the offline model is free)"
	case usd == nil:
		return "unknown (no price is known for this model)"
	default:
		return fmt.Sprintf("$%.6f", *usd)
	}
}
