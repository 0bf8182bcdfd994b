package job

import (
	"encoding/json"
	"time"
)

// EventType is the type of a message on the socket.
type EventType string

// The types of events. The first four are the guide's; a client may ignore the other two.
const (
	EventLog     EventType = "log"
	EventResult  EventType = "result"
	EventError   EventType = "error"
	EventDone    EventType = "done"  // the last event of every job, once
	EventState   EventType = "state" // a change of state, an adoption, a retry and its reason
	EventPartial EventType = "partial"
)

// Format is how a result is shown.
type Format string

// The formats of a result.
const (
	FormatText Format = "text" // the answer
	FormatJSON Format = "json" // the CLI's result object, as JSON text
)

// Event is something that happened to a job. Seq, Position, SandboxID and Cursor are set by the store.
type Event struct {
	JobID     string
	SandboxID string // "" until known
	Seq       int64  // per job, from 1, without a gap
	Position  int64  // order in a user's or a batch's stream
	Cursor    string // opaque form of the position
	At        time.Time
	Type      EventType

	Level    string // log: "info", "warn"
	Data     string // log, result, partial
	Format   Format // result
	Code     Code   // error
	Message  string // error
	ExitCode int    // done
	State    State  // state
	Attempt  int64  // state
	Reason   string // state: why, in words that stay the same
}

// Log is an event that shows one line to people.
func Log(at time.Time, line string) Event {
	return Event{At: at, Type: EventLog, Level: "info", Data: line}
}

// body holds the fields that depend on the type of an event. It is what the store keeps.
type body struct {
	Level    string  `json:"level,omitempty"`
	Format   Format  `json:"format,omitempty"`
	Data     *string `json:"data,omitempty"`
	Code     Code    `json:"code,omitempty"`
	Message  *string `json:"message,omitempty"`
	ExitCode *int    `json:"exitCode,omitempty"`
	State    State   `json:"state,omitempty"`
	Attempt  int64   `json:"attempt,omitempty"`
	Reason   string  `json:"reason,omitempty"`
}

func (e Event) body() body {
	switch e.Type {
	case EventLog:
		return body{Level: e.Level, Data: &e.Data}
	case EventPartial:
		return body{Data: &e.Data}
	case EventResult:
		return body{Format: e.Format, Data: &e.Data}
	case EventError:
		return body{Code: e.Code, Message: &e.Message}
	case EventDone:
		return body{ExitCode: &e.ExitCode}
	default:
		return body{State: e.State, Attempt: e.Attempt, Reason: e.Reason}
	}
}

// Body is the part of an event that depends on its type, as JSON: what the store keeps beside the columns.
func (e Event) Body() ([]byte, error) { return json.Marshal(e.body()) }

// SetBody is the inverse of Body.
func (e *Event) SetBody(raw []byte) error {
	var b body
	if err := json.Unmarshal(raw, &b); err != nil {
		return err
	}
	e.Level, e.Format, e.Code, e.State, e.Attempt, e.Reason = b.Level, b.Format, b.Code, b.State, b.Attempt, b.Reason
	if b.Data != nil {
		e.Data = *b.Data
	}
	if b.Message != nil {
		e.Message = *b.Message
	}
	if b.ExitCode != nil {
		e.ExitCode = *b.ExitCode
	}
	return nil
}

// MarshalJSON gives the message as clients see it, on every transport.
func (e Event) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Type      EventType `json:"type"`
		SandboxID string    `json:"sandboxId"`
		JobID     string    `json:"jobId"`
		TS        int64     `json:"ts"` // Unix milliseconds
		Seq       int64     `json:"seq"`
		Cursor    string    `json:"cursor"`
		body
	}{e.Type, e.SandboxID, e.JobID, e.At.UnixMilli(), e.Seq, e.Cursor, e.body()})
}
