package cli

import (
	"io"
	"strings"
)

// streamed is a job's text while it is written. It goes to the terminal on which the answer is awaited; else to the
// screen, for a program that reads the answer must get nothing else.
type streamed struct {
	screen *Screen
	out    io.Writer
	live   bool // out is a terminal, and wants no JSON
	text   strings.Builder
}

func newStreamed(r Run) *streamed {
	return &streamed{screen: r.Screen, out: r.Out, live: IsTerminal(r.Out) && !r.JSON}
}

// add shows the next piece.
func (t *streamed) add(piece string) {
	t.text.WriteString(piece)
	to := t.screen.w
	if t.live {
		to = t.out
	}
	t.screen.Text(to, safe(piece))
}

// told reports whether the answer stands on the terminal already: it was all of the text, and came once.
func (t *streamed) told(answer string) bool {
	return t != nil && t.live && strings.TrimSpace(t.text.String()) == strings.TrimSpace(answer)
}
