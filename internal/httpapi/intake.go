package httpapi

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"sandpiper/internal/job"
)

const (
	maxLines    = 1_000_000 // of one batch
	maxCustomID = 256       // bytes
)

// intake checks the lines of a batch, one after another.
type intake struct {
	lines int // taken so far, good and bad
	bad   int64
	seen  map[[16]byte]int // :: hash of a custom_id → its line. The ids themselves would take much more room
	note  func(fault)      // hears of every fault
}

func newIntake(note func(fault)) intake { return intake{seen: map[[16]byte]int{}, note: note} }

// CheckLines checks the lines of a batch as an upload of them would be checked, and keeps nothing. lineMost is the longest
// line, in bytes; note hears of every fault: its line, from 1, the line's custom_id if it could be read, a JSON pointer
// into the line, and what must be. An error says that r could not be read, or that there are too many lines.
func CheckLines(r io.Reader, lineMost int64, note func(line int, customID, pointer, must string)) (good, bad int64, err error) {
	in := newIntake(func(f fault) { note(f.Line, f.CustomID, f.Pointer, f.Detail) })
	for next := linesFrom(r, lineMost); ; {
		raw, err := next()
		if err == nil {
			_, _, err = in.take(raw)
		}
		switch {
		case err == io.EOF:
			return int64(in.lines) - in.bad, in.bad, nil
		case errors.Is(err, errTooLarge):
			return 0, 0, fmt.Errorf("a batch has at most %d lines", maxLines)
		case err != nil:
			return 0, 0, errors.Unwrap(err)
		}
	}
}

// take takes one line. A bad one is noted; an error ends the batch.
func (in *intake) take(raw rawLine) (l job.Line, good bool, err error) {
	if in.lines++; in.lines > maxLines {
		return l, false, errors.Join(errTooLarge, job.FieldError{Pointer: "", Must: fmt.Sprintf("must be at most %d lines", maxLines)})
	}
	if err = raw.err; err == nil {
		l, err = decodeLine(raw.text)
	}
	if err == nil {
		err = in.unique(l.CustomID, raw.number)
	}
	if err == nil {
		return l, true, nil
	}
	in.bad++
	for _, f := range faultsOf(err) {
		f.Line, f.CustomID = raw.number, l.CustomID
		in.note(f)
	}
	return l, false, nil
}

// unique refuses a custom_id that an earlier line has.
func (in *intake) unique(id string, line int) error {
	var key [16]byte
	sum := sha256.Sum256([]byte(id))
	copy(key[:], sum[:])
	if first, twice := in.seen[key]; twice {
		return job.FieldError{Pointer: "/custom_id", Must: fmt.Sprintf("must not be that of another line: line %d has it", first)}
	}
	in.seen[key] = line
	return nil
}

// decodeLine reads one line, or returns every fault of it. The custom_id is there with an error too, if it could be read.
func decodeLine(raw []byte) (l job.Line, err error) {
	o, err := parseObject(raw)
	if err != nil {
		return l, err
	}
	l.CustomID = o.text("custom_id")
	if id := l.CustomID; !o.bad["custom_id"] && (id == "" || len(id) > maxCustomID || bytes.IndexByte([]byte(id), 0) >= 0) {
		l.CustomID = ""
		o.fail("custom_id", fmt.Sprintf("must be 1 to %d bytes of text without U+0000", maxCustomID))
	}
	l.Spec = o.spec()
	for _, name := range []string{"sandboxId", "conversationId", "continue"} {
		if o.take(name) != nil && !o.bad[name] {
			o.fail(name, "is not available in a batch: its jobs do not depend on each other")
		}
	}
	l.Spec.ConversationID, l.Spec.Continue = "", false
	o.check(l.Spec.Validate(), "input")
	if l.Spec.Priority == "" {
		l.Spec.Priority = job.Bulk
	}
	l.Spec = l.Spec.WithDefaults()
	return l, o.done()
}

// rawLine is a line as it came; err says why it could not be read.
type rawLine struct {
	number int
	text   []byte // until the next one
	err    error
}

// nextLine returns line after line, and io.EOF after the last. Another error ends the upload.
type nextLine func() (rawLine, error)

// linesFrom reads line by line; most is the longest, in bytes. Blank lines are none, but are counted.
func linesFrom(r io.Reader, most int64) nextLine {
	body := bufio.NewReaderSize(r, 64<<10)
	var text []byte
	number, over := 0, false
	return func() (rawLine, error) {
		for !over {
			var err error
			var long bool
			text, long, err = readLine(body, text[:0], most)
			number++
			switch over = err == io.EOF; {
			case err != nil && !over:
				return rawLine{}, broken{err}
			case long:
				return rawLine{number: number, err: job.FieldError{Pointer: "", Must: fmt.Sprintf("must be at most %d bytes", most)}}, nil
			case len(bytes.TrimSpace(text)) > 0:
				return rawLine{number: number, text: text}, nil
			}
		}
		return rawLine{}, io.EOF
	}
}

// broken says that lines could not be read to their end.
type broken struct{ error }

func (b broken) Is(e error) bool { return e == errIncomplete }
func (b broken) Unwrap() error   { return b.error }

// readLine appends the next line to text. Of one that is longer than most it reads the rest too, and keeps nothing.
func readLine(r *bufio.Reader, text []byte, most int64) (line []byte, long bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if long = long || int64(len(text)+len(part)) > most+1; !long {
			text = append(text, part...)
		}
		if err != bufio.ErrBufferFull {
			return text, long, err
		}
	}
}
