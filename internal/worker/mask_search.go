package worker

import "strings"

// search finds the forms of the known secrets. It looks at each place of a text once, and further only where a form
// can begin.
type search struct {
	forms []form
	least int          // no shorter text holds a find
	first [256][]start // :: byte → forms that can begin with it
	later [256][]start // :: byte → places inside of forms, for a text that begins in the middle of one
	any   [256]bool    // bytes at which a form can begin, an escape included
}

// start is a place of a form.
type start struct {
	form *form
	at   int
}

func newSearch(secrets []string) *search {
	s := &search{least: shortest}
	for _, secret := range secrets {
		s.forms = append(s.forms, forms(secret)...)
	}
	for i := range s.forms {
		f := &s.forms[i]
		for b := range 256 {
			for at := range f.places {
				switch has := f.places[at].has(byte(b)); {
				case has && at == 0:
					s.first[b], s.any[b] = append(s.first[b], start{f, 0}), true
				case has && len(f.places)-at >= f.enough():
					s.later[b] = append(s.later[b], start{f, at})
				}
			}
		}
	}
	s.any['\\'], s.any['%'] = len(s.forms) > 0, len(s.forms) > 0
	return s
}

// replace writes masked in place of everything found. What overlaps is one find.
func (s *search) replace(text string) string {
	if len(text) < s.least || len(s.forms) == 0 {
		return text
	}
	var out strings.Builder
	shown, begin := 0, 0 // all before shown is written; the newest find is text[begin:end]
	end := s.longest(text, 0, &s.later)
	write := func() {
		if end > begin {
			out.WriteString(text[shown:begin])
			out.WriteString(masked)
			shown = end
		}
	}
	for at := range len(text) {
		if !s.any[text[at]] {
			continue
		}
		found := s.longest(text, at, &s.first)
		switch {
		case found <= end: // nothing, or inside of the newest find
		case at < end:
			end = found
		default:
			write()
			begin, end = at, found
		}
	}
	if write(); shown == 0 {
		return text
	}
	out.WriteString(text[shown:])
	return out.String()
}

// longest is the end of the longest form that stands at text[at] from one of its starts on, 0 for none.
func (s *search) longest(text string, at int, starts *[256][]start) (end int) {
	c := text[at]
	for _, from := range starts[c] {
		end = max(end, from.form.match(text, at, from.at))
	}
	if c == '\\' || c == '%' {
		if e := unescape(text, at, anyEscape); e.next > 0 && e.bytes[0] != c {
			for _, from := range starts[e.bytes[0]] {
				end = max(end, from.form.match(text, at, from.at))
			}
		}
	}
	return end
}

// match is the end of the form when it stands at text[at] from its place from on, else 0. A text may end before the
// form does, if enough of it is there.
func (f *form) match(text string, at, from int) int {
	place := from
	for place < len(f.places) {
		if at == len(text) {
			if place-from >= f.enough() {
				return at
			}
			return 0
		}
		n, next := f.step(text, at, place)
		if next == 0 && place > from {
			n, next = 0, f.gap(text, at, place)
		}
		if next == 0 {
			return 0
		}
		place, at = place+n, next
	}
	return at
}

// step reads what stands at text[at] for the form's next places: how many it fills, and where the text goes on. A
// next of 0 means that it does not fit.
func (f *form) step(text string, at, place int) (n, next int) {
	c := text[at]
	if c == '\\' || c == '%' {
		if e := unescape(text, at, f.escapes); f.fits(e, place) {
			return e.n, e.next
		}
	}
	if f.places[place].has(c) {
		return 1, at + 1
	}
	return 0, 0
}

func (f *form) fits(e escape, place int) bool {
	if e.next == 0 || place+e.n > len(f.places) {
		return false
	}
	for i := range e.n {
		if !f.places[place+i].has(e.bytes[i]) {
			return false
		}
	}
	return true
}

// gap is where the text goes on behind something that does not count, 0 if text[at] counts. A backslash behind a
// backslash is one that escapes, or is escaped, once more.
func (f *form) gap(text string, at, place int) (next int) {
	c := text[at]
	if c == '\n' || c == '\r' || strings.IndexByte(f.between, c) >= 0 {
		return at + 1
	}
	doubled := f.escapes&backslash != 0 && f.places[place-1].has('\\')
	e := unescape(text, at, f.escapes)
	switch {
	case doubled && e.bytes[0] == '\\':
		return e.next
	case doubled && c == '\\':
		return at + 1
	case e.bytes[0] == '\n' || e.bytes[0] == '\r':
		return e.next
	}
	return 0
}
