package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/term"
)

// Screen is where people read: lines, and on a terminal a last line that moves while something is awaited. Colour is
// for terminals, and for those who did not set NO_COLOR (no-color.org).
type Screen struct {
	w      io.Writer
	colour bool
	live   bool // lines can be overwritten

	mu      sync.Mutex
	waiting string // "" when nothing moves
	since   time.Time
	frame   int
	drawn   bool
	within  io.Writer // where a line of Text is not ended yet; nil when there is none
}

// NewScreen writes to w, plainly unless w is a terminal.
func NewScreen(w io.Writer) *Screen {
	terminal := IsTerminal(w) && os.Getenv("TERM") != "dumb"
	return &Screen{w: w, colour: terminal && os.Getenv("NO_COLOR") == "", live: terminal}
}

// IsTerminal reports whether v is a file that is one.
func IsTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// paint is one way of making text stand out: a number of ECMA-48 SGR.
type paint string

const (
	plain paint = ""
	dim   paint = "2"
	red   paint = "31"
	green paint = "32"
	amber paint = "33"
)

// paint colours text where that is wanted.
func (s *Screen) paint(p paint, text string) string {
	if !s.colour || p == plain || text == "" {
		return text
	}
	return "\x1b[" + string(p) + "m" + text + "\x1b[0m"
}

// Line writes one line, above whatever moves.
func (s *Screen) Line(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	s.endText()
	fmt.Fprintf(s.w, format+"\n", args...)
	s.draw()
}

// Text writes a piece of text to w, which may be the same terminal. Nothing moves before its line has ended.
func (s *Screen) Text(w io.Writer, piece string) {
	if piece == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	_, _ = io.WriteString(w, piece) // the whole answer comes later, and is looked after
	s.within = nil
	if !strings.HasSuffix(piece, "\n") {
		s.within = w
	}
	s.draw()
}

// EndText ends the line that Text has begun.
func (s *Screen) EndText() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endText()
}

func (s *Screen) endText() {
	if s.within != nil {
		_, _ = io.WriteString(s.within, "\n")
		s.within = nil
	}
}

// Await shows that something is awaited, with the seconds since now, until the returned function is called.
func (s *Screen) Await(what string) (done func()) {
	if !s.live {
		return func() {}
	}
	s.mu.Lock()
	s.waiting, s.since = what, time.Now()
	s.draw()
	s.mu.Unlock()
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		s.turn(quit)
	}()
	return sync.OnceFunc(func() {
		close(quit)
		<-ended
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wipe()
		s.waiting = ""
	})
}

// Awaiting changes what Await shows.
func (s *Screen) Awaiting(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting != "" {
		s.wipe()
		s.waiting = what
		s.draw()
	}
}

func (s *Screen) turn(quit <-chan struct{}) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
			s.mu.Lock()
			s.frame++
			s.wipe()
			s.draw()
			s.mu.Unlock()
		}
	}
}

// frames turn once a second.
var frames = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

func (s *Screen) draw() {
	if s.waiting == "" || s.within != nil {
		return
	}
	text := fmt.Sprintf("%s %s %.0fs", frames[s.frame%len(frames)], s.waiting, time.Since(s.since).Seconds())
	fmt.Fprint(s.w, s.paint(dim, text))
	s.drawn = true
}

// wipe takes the moving line away: back to its begin, and erase (EL, ECMA-48 §8.3.41).
func (s *Screen) wipe() {
	if s.drawn {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.drawn = false
	}
}

// safe takes out what could steer a terminal: text from a sandbox is shown, never obeyed.
func safe(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// OneLine is text of somebody else's, as it may be shown on a line.
func OneLine(text string) string { return oneLine(text) }

// oneLine is safe text on a line of its own.
func oneLine(text string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(safe(strings.TrimRight(text, "\n")))
}
