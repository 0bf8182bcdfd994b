package worker

import (
	"slices"
	"strings"

	"sandpiper/internal/job"
)

// masked stands where a secret stood.
const masked = "[secret]"

// shortest is the length from which a value counts as a secret: masking a shorter one would tear words apart.
const shortest = 8

// mask replaces the known secrets in what comes out of a sandbox, before it is committed. It works on whole
// decoded lines, so a secret that was cut between two polls, or escaped as JSON, is in one piece when it comes by.
type mask struct{ replacer *strings.Replacer }

func newMask(secrets []string) mask {
	known := slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return len(s) < shortest })
	slices.SortFunc(known, func(a, b string) int { return len(b) - len(a) }) // a longer one first: it may hold a shorter
	var pairs []string
	for _, s := range known {
		pairs = append(pairs, s, masked)
	}
	return mask{strings.NewReplacer(pairs...)}
}

func (m mask) text(s string) string { return m.replacer.Replace(s) }

func (m mask) events(events []job.Event) []job.Event {
	for i := range events {
		events[i].Data = m.text(events[i].Data)
		events[i].Message = m.text(events[i].Message)
		events[i].Reason = m.text(events[i].Reason)
	}
	return events
}

func (m mask) outcome(o job.Outcome) job.Outcome {
	if o.Result != nil {
		r := *o.Result
		r.Text, r.JSON = m.text(r.Text), []byte(m.text(string(r.JSON)))
		o.Result = &r
	}
	if o.Failure != nil {
		f := *o.Failure
		f.Message = m.text(f.Message)
		o.Failure = &f
	}
	return o
}
