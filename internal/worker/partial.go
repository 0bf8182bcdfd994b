package worker

import (
	"time"

	"sandpiper/internal/claude"
	"sandpiper/internal/job"
)

// pieces turns the text that a run writes into partial events. One comes for each poll, which gathers lines for a
// quarter of a second, so there is no need to gather here.
//
// A secret may come in two pieces, each of which looks harmless. So the longest end of the text that could be the
// beginning of a secret waits for what follows it, until the run's last line. What waits depends on the text alone:
// whoever takes a run over reads it again and holds the same.
type pieces struct {
	mask   mask
	text   string // not shown yet
	result bool   // the last line was read: nothing follows
}

// pieces are nil for a job that did not ask for partial events.
func (w *Worker) pieces(spec job.Spec) *pieces {
	if !spec.Stream {
		return nil
	}
	return &pieces{mask: w.mask}
}

// hear takes the text of an item.
func (p *pieces) hear(item claude.Item) {
	if p == nil {
		return
	}
	switch i := item.(type) {
	case claude.Partial:
		p.text += i.Text
	case claude.Result:
		p.result = true
	}
}

// show is what may be shown of the text now, masked: one event, or none.
func (p *pieces) show() []job.Event {
	if p == nil {
		return nil
	}
	n := len(p.text)
	if !p.result {
		n = p.mask.search.harmless(p.text)
	}
	text := p.mask.text(p.text[:n])
	if p.text = p.text[n:]; text == "" {
		return nil
	}
	return []job.Event{{At: time.Now(), Type: job.EventPartial, Data: text}}
}

// window is how far from its end a text is searched for the beginning of a secret: longer than any form of one.
const window = 16 << 10

// harmless is how much of text holds secrets only whole, in whatever form: what follows may be the beginning of one.
func (s *search) harmless(text string) int {
	n, from := len(text), max(0, len(text)-window)
	for at := from; at < n; at++ {
		if s.any[text[at]] && s.runsOut(text, at) {
			n = at
		}
	}
	for again := true; again; { // a whole secret that reaches over n must not be cut either
		again = false
		for at := from; at < n && !again; at++ {
			if s.any[text[at]] && s.longest(text, at, &s.first) > n {
				n, again = at, true
			}
		}
	}
	return n
}

// runsOut reports whether a form that begins at text[at] goes on behind the end of text.
func (s *search) runsOut(text string, at int) bool {
	for i := range s.forms {
		if s.forms[i].runsOut(text, at) {
			return true
		}
	}
	return false
}

func (f *form) runsOut(text string, at int) bool {
	for place := 0; place < len(f.places); {
		if at >= len(text) {
			return true
		}
		n, next := f.step(text, at, place)
		if next == 0 && place > 0 {
			n, next = 0, f.gap(text, at, place)
		}
		if next == 0 { // or in the middle of an escape
			return (text[at] == '\\' || text[at] == '%') && len(text)-at < 2*mostBackslashes
		}
		place, at = place+n, next
	}
	return false
}
