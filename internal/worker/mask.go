package worker

import (
	"slices"

	"sandpiper/internal/job"
)

// masked stands where a secret stood.
const masked = "[secret]"

// shortest is the length from which a value counts as a secret: masking a shorter one would tear words apart.
const shortest = 8

// mask replaces the known secrets in what comes out of a sandbox, before it is committed: as they are, and in the
// forms that output takes by itself or in which a prompt asks for them without much thought (see forms). It works on
// whole decoded lines, so a secret that was cut between two polls is in one piece when it comes by.
//
// It is a net and not a wall: a cipher, or one letter a line, gets past every search.
type mask struct{ search *search }

func newMask(secrets []string) mask {
	known := slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return len(s) < shortest })
	slices.Sort(known)
	return mask{newSearch(slices.Compact(known))}
}

// text masks plain text. A secret of which the beginning or the end was cut off together with the text around it is
// masked too, as long as a good part of it is left.
func (m mask) text(s string) string { return m.search.replace(s) }

func (m mask) events(events []job.Event) []job.Event {
	for i := range events {
		e := &events[i]
		if e.Format == job.FormatJSON {
			e.Data = string(m.json([]byte(e.Data)))
		} else {
			e.Data = m.text(e.Data)
		}
		e.Message, e.Reason = m.text(e.Message), m.text(e.Reason)
	}
	return events
}

// usage masks the names of models: they, too, are what the command printed.
func (m mask) usage(used []job.ModelUsage) []job.ModelUsage {
	used = slices.Clone(used)
	for i := range used {
		used[i].Model = m.text(used[i].Model)
	}
	return used
}

func (m mask) outcome(o job.Outcome) job.Outcome {
	o.Usage, o.Log = m.usage(o.Usage), m.text(o.Log)
	if o.Result != nil {
		r := *o.Result
		r.Text, r.JSON = m.text(r.Text), m.json(r.JSON)
		o.Result = &r
	}
	if o.Failure != nil {
		f := *o.Failure
		f.Message = m.text(f.Message)
		o.Failure = &f
	}
	return o
}
