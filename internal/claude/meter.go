package claude

import (
	"slices"
	"strings"

	"sandpiper/internal/job"
)

// maxOpen is how many messages are kept apart. Only those can still grow: the one being streamed, and those of
// subagents that work side by side.
const maxOpen = 32

// synthetic is the model of a message that the CLI wrote itself, to show an error. Nothing was paid for it.
const synthetic = "<synthetic>"

// meter counts tokens as the messages go by, so that the cost of a killed run is known. A message is counted by
// its id: at its start (input, and a first guess of the output), at each message_delta (the output so far), and,
// where nothing is streamed, by its assistant lines, whose output count is that of the start (1) and too low.
type meter struct {
	Closed []job.ModelUsage `json:"closed,omitempty"` // messages that have left the window, by model
	Open   []metered        `json:"open,omitempty"`   // oldest first
}

type metered struct {
	ID     string         `json:"id"`
	Parent string         `json:"parent,omitempty"`
	Usage  job.ModelUsage `json:"usage"`
	Live   bool           `json:"live,omitempty"` // started, and not said to be whole
}

// start opens a message, or finds it again.
func (m *meter) start(id, parent, model string, u wireUsage) *metered {
	at := slices.IndexFunc(m.Open, func(o metered) bool { return o.ID == id })
	if at < 0 {
		if len(m.Open) == maxOpen {
			m.Closed = add(m.Closed, m.Open[0].Usage)
			m.Open = slices.Delete(m.Open, 0, 1)
		}
		m.Open = append(m.Open, metered{ID: id, Parent: parent, Usage: job.ModelUsage{Model: model}})
		at = len(m.Open) - 1
	}
	o := &m.Open[at]
	o.Usage = larger(o.Usage, u.of(o.Usage.Model))
	return o
}

// current is the message that a stream event of parent belongs to: the newest one.
func (m *meter) current(parent string) *metered {
	for i := len(m.Open) - 1; i >= 0; i-- {
		if m.Open[i].Parent == parent {
			return &m.Open[i]
		}
	}
	return nil
}

// cut reports whether the newest message was begun and never finished.
func (m *meter) cut() bool {
	o := m.current("")
	return o != nil && o.Live
}

// total is the sum by model, in the order of the names.
func (m *meter) total() []job.ModelUsage {
	sum := slices.Clone(m.Closed)
	for _, o := range m.Open {
		sum = add(sum, o.Usage)
	}
	return sum
}

// add adds u to the entry of its model, keeping the order of the names.
func add(sum []job.ModelUsage, u job.ModelUsage) []job.ModelUsage {
	at, found := slices.BinarySearchFunc(sum, u, byModel)
	if !found {
		return slices.Insert(sum, at, u)
	}
	s := &sum[at]
	s.InputTokens += u.InputTokens
	s.OutputTokens += u.OutputTokens
	s.CacheReadTokens += u.CacheReadTokens
	s.CacheWriteTokens += u.CacheWriteTokens
	return sum
}

func byModel(a, b job.ModelUsage) int { return strings.Compare(a.Model, b.Model) }

func larger(a, b job.ModelUsage) job.ModelUsage {
	return job.ModelUsage{
		Model:            a.Model,
		InputTokens:      max(a.InputTokens, b.InputTokens),
		OutputTokens:     max(a.OutputTokens, b.OutputTokens),
		CacheReadTokens:  max(a.CacheReadTokens, b.CacheReadTokens),
		CacheWriteTokens: max(a.CacheWriteTokens, b.CacheWriteTokens),
	}
}

// tokens is everything that was counted.
func tokens(usage []job.ModelUsage) (n int64) {
	for _, u := range usage {
		n += u.InputTokens + u.OutputTokens + u.CacheReadTokens + u.CacheWriteTokens
	}
	return n
}
