package daemon

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
)

// Stream markers of the protocol: the bytes that follow are standard output, or standard error, until the next one.
// Program output that holds these triples itself cannot be told apart; clients know that.
var (
	stdoutMark = []byte{1, 1, 1}
	stderrMark = []byte{2, 2, 2}
)

// outputLog is the log of one session command: a file of marked lines that can be followed while it grows. A command
// without output has no file: making one takes longer than many a command.
type outputLog struct {
	path string

	mu      sync.Mutex
	file    *os.File // nil before the first output and after the end
	ended   bool
	size    int64
	changed chan struct{} // closed at the next append or at the end
}

func newLog(path string) *outputLog {
	return &outputLog{path: path, changed: make(chan struct{})}
}

// drain copies a stream into the log until its end, line by line as the platform does: each line marked, NUL bytes
// dropped, a missing last newline added. A line longer than the buffer is written in several marked pieces.
func (l *outputLog) drain(r io.Reader, mark []byte) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var out []byte
	atStart := true // of a line
	for {
		line, err := in.ReadSlice('\n')
		if line = withoutNUL(line); len(line) > 0 {
			out = append(append(out, mark...), line...)
			atStart = line[len(line)-1] == '\n'
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if !atStart {
				out = append(out, '\n')
			}
			werr := l.append(out)
			if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) {
				return werr
			}
			return errors.Join(err, werr)
		}
		if in.Buffered() == 0 || len(out) >= 256<<10 {
			if err := l.append(out); err != nil {
				_, _ = io.Copy(io.Discard, in) // a full disk must not block the command
				return err
			}
			out = out[:0]
		}
	}
}

// withoutNUL drops NUL bytes in place.
func withoutNUL(line []byte) []byte {
	if bytes.IndexByte(line, 0) < 0 {
		return line
	}
	return slices.DeleteFunc(line, func(b byte) bool { return b == 0 })
}

func (l *outputLog) append(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return os.ErrClosed
	}
	if l.file == nil {
		var err error
		if l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err != nil {
			return fmt.Errorf("make a log: %w", err)
		}
	}
	n, err := l.file.Write(b)
	l.size += int64(n)
	close(l.changed)
	l.changed = make(chan struct{})
	return err
}

// end closes the log: it is complete.
func (l *outputLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended = true
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
	close(l.changed)
}

// state says how long the log is, whether it is complete, and what is closed when that changes.
func (l *outputLog) state() (size int64, complete bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size, l.ended, l.changed
}

func (l *outputLog) read() ([]byte, error) {
	if size, _, _ := l.state(); size == 0 {
		return nil, nil
	}
	return os.ReadFile(l.path)
}

// demux splits marked bytes. Bytes before the first marker belong to neither stream.
func demux(marked []byte) (stdout, stderr []byte) {
	var nowhere []byte
	dst := &nowhere
	eachPiece(marked, func(stream byte, piece []byte) {
		switch stream {
		case 1:
			dst = &stdout
		case 2:
			dst = &stderr
		}
		*dst = append(*dst, piece...)
	})
	return stdout, stderr
}

// unmark drops the markers and keeps the order.
func unmark(marked []byte) []byte {
	out := make([]byte, 0, len(marked))
	eachPiece(marked, func(_ byte, piece []byte) { out = append(out, piece...) })
	return out
}

// eachPiece walks the pieces between markers in one pass; stream is the marker's byte before the piece, or 0.
func eachPiece(marked []byte, visit func(stream byte, piece []byte)) {
	var stream byte
	from := 0
	for i := 0; i+3 <= len(marked); {
		b := marked[i]
		if (b != 1 && b != 2) || marked[i+1] != b || marked[i+2] != b {
			i++
			continue
		}
		visit(stream, marked[from:i])
		stream, i = b, i+3
		from = i
	}
	visit(stream, marked[from:])
}
