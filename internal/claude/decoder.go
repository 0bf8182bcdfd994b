package claude

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"sandpiper/internal/job"
)

const (
	maxLine = 64 << 20 // bytes of one line; a longer one is thrown away (an answer of 3 MB is one line of 3 MB)
	maxRaw  = 4 << 20  // bytes kept of output that is not JSON
)

// Decoder reads the command's standard output as it grows. It takes stream-json, and also the single object or the
// array of the other JSON formats. The zero value is ready.
type Decoder struct {
	pending []byte // what came after the last line's end
	tooLong bool   // pending belongs to a line that is thrown away
	state   State
}

// State is what a Decoder knows after the last whole line. A worker that goes on with another's run from a stored
// offset either restores it, or feeds the output again from its first byte and drops the items; both give the same.
//
// It is small but for Answer, Result and Raw, which are as large as what the model wrote.
type State struct {
	SessionID  string `json:"sessionId,omitempty"`
	Model      string `json:"model,omitempty"`
	Events     bool   `json:"events,omitempty"`     // there was a line of the CLI's JSON
	Requesting bool   `json:"requesting,omitempty"` // something was asked
	Metered    meter  `json:"metered"`
	LastRetry  Retry  `json:"lastRetry"`
	Answer     string `json:"answer,omitempty"` // the model's last text
	Result     string `json:"result,omitempty"` // the last result line; no RawMessage, whose bytes encoding changes
	Raw        string `json:"raw,omitempty"`    // output that is not the CLI's JSON
}

// Restore makes a Decoder that goes on after the line at which s was taken.
func Restore(s State) *Decoder { return &Decoder{state: s} }

// State is what is known after the last whole line. It shares nothing with d.
func (d *Decoder) State() State {
	s := d.state
	s.Metered = meter{Closed: slices.Clone(s.Metered.Closed), Open: slices.Clone(s.Metered.Open)}
	return s
}

// Usage is what the run has used so far, by model, in the order of their names. Nil means nothing was counted.
func (d *Decoder) Usage() []job.ModelUsage { return d.state.Metered.total() }

// Requesting reports whether the run has asked the model anything, as far as its output tells.
func (d *Decoder) Requesting() bool { return d.state.Requesting }

// Lines reads the next bytes of the output and returns what their whole lines tell, in order. It may be cut
// anywhere; the rest of a line waits for the next call. An Init's and a Usage's slices are the caller's.
func (d *Decoder) Lines(data []byte) []Item {
	var items []Item
	for {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			d.keep(line)
			return items
		}
		if d.keep(line); !d.tooLong {
			items = append(items, d.line(d.pending)...)
		}
		d.pending, d.tooLong = nil, false
		data = rest
	}
}

func (d *Decoder) keep(part []byte) {
	if d.tooLong = d.tooLong || len(d.pending)+len(part) > maxLine; d.tooLong {
		d.pending = nil
		return
	}
	d.pending = append(d.pending, part...)
}

// escapes are terminal codes before the first brace: 1.0.83 clears the screen for "/clear".
var escapes = regexp.MustCompile(`^(\x1b\[[0-9;]*[A-Za-z])+`)

func (d *Decoder) line(line []byte) []Item {
	text := bytes.TrimSpace(escapes.ReplaceAll(line, nil))
	values := []json.RawMessage{text}
	if bytes.HasPrefix(text, []byte("[")) && json.Unmarshal(text, &values) != nil {
		values = nil
	}
	var items []Item
	known := false
	for _, v := range values {
		var w wire
		if bytes.HasPrefix(v, []byte("{")) && read(v, &w) && w.Type != "" {
			known = true
			items = append(items, d.event(w, v)...)
		}
	}
	if d.state.Events = d.state.Events || known; !d.state.Events {
		room := max(0, maxRaw-len(d.state.Raw))
		d.state.Raw += string(line[:min(len(line), room)]) + "\n"[:min(1, room)]
	}
	return items
}

// withLastLine is a copy of d that has also read a last line without its end.
func (d *Decoder) withLastLine() *Decoder {
	whole := &Decoder{pending: d.pending, tooLong: d.tooLong, state: d.State()}
	if len(d.pending) > 0 {
		whole.Lines([]byte("\n"))
		if !whole.state.Events {
			whole.state.Raw = strings.TrimSuffix(whole.state.Raw, "\n")
		}
	}
	return whole
}

func (d *Decoder) event(w wire, raw json.RawMessage) []Item {
	switch w.Type {
	case "system":
		return d.system(w)
	case "stream_event":
		return d.streamed(w)
	case "assistant":
		return d.assistant(w)
	case "result":
		d.state.Result = strings.ToValidUTF8(string(raw), "\uFFFD")
		var r wireResult
		read(raw, &r)
		return []Item{Result{Text: r.Result, IsError: r.IsError}}
	}
	return nil
}

func (d *Decoder) system(w wire) []Item {
	switch {
	case w.Subtype == "init":
		d.state.SessionID, d.state.Model = w.SessionID, w.Model
		return []Item{Init{SessionID: w.SessionID, Model: w.Model, Version: w.Version, Tools: w.Tools}}
	case w.Subtype == "status" && w.Status == "requesting":
		d.state.Requesting = true
		return []Item{Requesting{}}
	case w.Subtype == "api_retry":
		d.state.LastRetry = Retry{
			Attempt: int(count(w.Attempt)), Max: int(count(w.MaxRetries)), Delay: milliseconds(w.RetryDelayMS),
			Status: int(count(w.ErrorStatus)), Error: w.Error,
		}
		return []Item{d.state.LastRetry}
	case w.Subtype == "permission_denied":
		var sentence string
		read(w.Message, &sentence)
		return []Item{Denied{Tool: w.ToolName, Message: sentence}}
	case w.Subtype == "model_fallback":
		return []Item{Fallback{From: w.OriginalModel, To: w.FallbackModel}}
	}
	return nil
}

func (d *Decoder) streamed(w wire) []Item {
	e := w.Event
	m := &d.state.Metered
	switch e.Type {
	case "message_start":
		m.start(e.Message.ID, w.Parent, d.model(e.Message.Model), e.Message.Usage).Live = true
		return []Item{Usage{m.total()}}
	case "message_delta":
		o := m.current(w.Parent)
		if o == nil {
			return nil
		}
		o.Usage = larger(o.Usage, e.Usage.of(o.Usage.Model))
		return []Item{Usage{m.total()}}
	case "message_stop":
		if o := m.current(w.Parent); o != nil {
			o.Live = w.Abandoned != nil
		}
	case "content_block_delta":
		if e.Delta.Type == "text_delta" && e.Delta.Text != "" && w.Parent == "" {
			return []Item{Partial{e.Delta.Text}}
		}
	}
	return nil
}

func (d *Decoder) assistant(w wire) []Item {
	var m wireMessage
	if !read(w.Message, &m) || m.Model == synthetic {
		return nil
	}
	d.state.Metered.start(m.ID, w.Parent, d.model(m.Model), m.Usage)
	var text []string
	for _, b := range m.Content {
		if b.Type == "text" && b.Text != "" {
			text = append(text, b.Text)
		}
	}
	if len(text) == 0 || w.Parent != "" {
		return nil
	}
	d.state.Answer = strings.Join(text, "\n")
	return []Item{Answer{d.state.Answer}}
}

// dated is what the API appends to the name of a model that was asked for without a date.
var dated = regexp.MustCompile(`^-\d{8}$`)

// model is the name that the CLI counts a message under: the one it asked for.
func (d *Decoder) model(answered string) string {
	if date, ok := strings.CutPrefix(answered, d.state.Model); ok && dated.MatchString(date) {
		return d.state.Model
	}
	return answered
}

// milliseconds is at most a day: what is printed is not to be trusted with a timer.
func milliseconds(ms float64) time.Duration {
	const day = 24 * time.Hour
	return time.Duration(math.Min(math.Max(ms, 0)*float64(time.Millisecond), float64(day)))
}
