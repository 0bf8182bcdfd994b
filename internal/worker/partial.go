package worker

import (
	"slices"
	"strings"
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
	known  []string // secrets
	text   string   // not shown yet
	result bool     // the last line was read: nothing follows
}

// pieces are nil for a job that did not ask for partial events.
func (w *Worker) pieces(spec job.Spec) *pieces {
	if !spec.Stream {
		return nil
	}
	known := slices.DeleteFunc(slices.Clone(w.o.Secrets), func(s string) bool { return len(s) < shortest })
	return &pieces{mask: w.mask, known: known}
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
		n = harmless(p.text, p.known)
	}
	text := p.mask.text(p.text[:n])
	if p.text = p.text[n:]; text == "" {
		return nil
	}
	return []job.Event{{At: time.Now(), Type: job.EventPartial, Data: text}}
}

// harmless is how much of text holds secrets only whole: what follows may be the beginning of one.
func harmless(text string, known []string) int {
	n := len(text)
	for _, secret := range known {
		n = min(n, len(text)-opening(text, secret))
	}
	for again := true; again; { // a whole secret that reaches over n must not be cut either
		again = false
		for _, secret := range known {
			from := max(0, n-len(secret)+1)
			if at := strings.Index(text[from:], secret); at >= 0 && from+at < n {
				n, again = from+at, true
			}
		}
	}
	return n
}

// opening is how many bytes at the end of text begin the secret and are not all of it.
func opening(text, secret string) int {
	for n := min(len(secret)-1, len(text)); n > 0; n-- {
		if strings.HasSuffix(text, secret[:n]) {
			return n
		}
	}
	return 0
}
