package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"sandpiper/client"
)

// jobView is a job as --json shows it: the API's own fields, and no time where there is none.
type jobView struct {
	client.Job
	Timings timingsView `json:"timings"`
}

type timingsView struct {
	CreatedAt time.Time `json:"createdAt,omitzero"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	EndedAt   time.Time `json:"endedAt,omitzero"`
	QueuedMS  int64     `json:"queuedMs"`
	RunMS     int64     `json:"runMs"`
}

func viewOf(j client.Job) jobView { return jobView{Job: j, Timings: timingsView(j.Timings)} }

// eventView is an event as --json shows it. A done always has its exit code.
type eventView struct {
	client.Event
	ExitCode *int `json:"exitCode,omitempty"`
}

func eventOf(e client.Event) eventView {
	v := eventView{Event: e}
	if e.Type == client.EventDone {
		v.ExitCode = &e.ExitCode
	}
	return v
}

// writeJSON writes v on one line.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// money is a price for people; "-" while none is known.
func money(usd *float64) string {
	switch {
	case usd == nil:
		return "-"
	case *usd == 0:
		return "$0"
	default:
		return fmt.Sprintf("$%.4f", *usd)
	}
}

// age is a span in one unit, the largest that fits.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
