package cli

import (
	"fmt"
	"io"

	"sandpiper/client"
)

// Checked says what a check of lines found that sent nothing. Every fault was shown as it was found.
func (b Batch) Checked(good, bad int64, skipBad bool) (exit int, err error) {
	if b.JSON {
		err = writeJSON(b.Out, map[string]int64{"good": good, "bad": bad})
	} else {
		_, err = fmt.Fprintf(b.Out, "%d lines can be accepted, %d can not; nothing was sent\n", good, bad)
	}
	if bad > 0 && !skipBad || good == 0 {
		return 1, err
	}
	return 0, err
}

// Bad shows a fault of a line.
func (b Batch) Bad(f client.FieldError) {
	b.Screen.Line("%s", b.Screen.paint(red, oneLine(f.String())))
}

// counted shows how much of r was read. It can go back if r can.
func (b Batch) counted(r io.Reader, size int64) io.Reader {
	c := &counting{Reader: r, screen: b.Screen, size: size}
	if back, ok := r.(io.Seeker); ok {
		return &countingBack{c, back}
	}
	return c
}

// counting counts what is read, and shows it.
type counting struct {
	io.Reader
	screen     *Screen
	size, read int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += int64(n)
	text := fmt.Sprintf("sending, %.1f MB", float64(c.read)/1e6)
	if c.size > 0 {
		text += fmt.Sprintf(" of %.1f", float64(c.size)/1e6)
	}
	c.screen.Awaiting(text)
	return n, err
}

// countingBack begins again with where it is set to.
type countingBack struct {
	*counting
	back io.Seeker
}

func (c *countingBack) Seek(offset int64, whence int) (int64, error) {
	at, err := c.back.Seek(offset, whence)
	c.read = at
	return at, err
}
