package cli

import "bytes"

// Log shows what another program says, a line at a time, above whatever moves on the screen. One goroutine writes to it;
// Close shows what was not ended.
type Log struct {
	Screen *Screen
	part   []byte // of a line that has not ended
}

// longestLine is how much of a line is kept until it ends.
const longestLine = 64 << 10

// Write takes any piece of text. It never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.part = append(l.part, p...)
	for {
		line, rest, ended := bytes.Cut(l.part, []byte{'\n'})
		if !ended && len(line) < longestLine {
			return len(p), nil
		}
		l.show(line)
		l.part = rest
	}
}

// Close shows the line that has not ended.
func (l *Log) Close() {
	if len(l.part) > 0 {
		l.show(l.part)
		l.part = nil
	}
}

// show leaves out what a progress bar has overwritten.
func (l *Log) show(line []byte) {
	line = bytes.TrimRight(line, "\r")
	if at := bytes.LastIndexByte(line, '\r'); at >= 0 {
		line = line[at+1:]
	}
	l.Screen.Line("  %s", l.Screen.paint(dim, oneLine(string(line))))
}
