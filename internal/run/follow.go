package run

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	pollBytes = 256 << 10 // most that comes with a poll, as base64
	moreBytes = 4 << 20   // most that is fetched as a file on top of it

	// MaxLine is the longest line that Follow keeps whole, in bytes. A longer one is handed out in pieces.
	MaxLine = 64 << 20

	// DefaultGather is Follow's Gather.
	DefaultGather = 250 * time.Millisecond
)

// errOutput means that the output is not what it was: the prompt has truncated or replaced it.
var errOutput = errors.New("the run's output was changed")

// Poll says what to wait for.
type Poll struct {
	Offset int64         // where to go on; the end of a line
	Wait   time.Duration // longest wait for a whole line behind Offset, or for the end
	// Gather is how long to wait on, inside Wait, once there is a line: for more, or for the end. It does not hold
	// up the end. With 0 each line is handed out as it comes.
	Gather time.Duration
	// Attempt is who follows. One that a newer attempt has taken the run over from gets ErrTaken. 0 only reads, and is
	// nobody.
	Attempt int64
}

// Follow waits for output behind offset, up to wait, and gathers lines for DefaultGather. It is one request, which
// waits in the sandbox, and a second one only for a backlog or a line of more than 256 KiB.
func Follow(ctx context.Context, box Box, runID string, offset int64, wait time.Duration) (Chunk, error) {
	return Poll{Offset: offset, Wait: wait, Gather: DefaultGather}.Follow(ctx, box, runID)
}

// Follow waits as p says. Any number of readers may follow one run, from any offset. When the run is over, what it left
// behind is ended before its last chunk is returned: ErrStillRunning, if that was not possible.
func (p Poll) Follow(ctx context.Context, box Box, runID string) (Chunk, error) {
	c, err := p.follow(ctx, box, runID)
	if err != nil {
		return Chunk{}, fmt.Errorf("follow run %s from %d: %w", runID, p.Offset, err)
	}
	return c, nil
}

func (p Poll) follow(ctx context.Context, box Box, runID string) (Chunk, error) {
	if !validID(runID) || p.Offset < 0 {
		return Chunk{}, errors.New("bad run id or offset")
	}
	text, err := ask(ctx, box, followScript(), p.Wait,
		runID, p.Offset, max(0, p.Wait.Milliseconds()), max(0, p.Gather.Milliseconds()), pollBytes, p.Attempt)
	if err != nil {
		return Chunk{}, err
	}
	r, err := parseReply(text)
	if err != nil {
		return Chunk{}, err
	}
	if r.state == stateLost {
		return Chunk{}, ErrTaken
	}
	if r.left {
		return Chunk{}, ErrStillRunning
	}
	if r.over() {
		return p.last(r)
	}
	return p.next(ctx, box, r)
}

// last makes the final chunk: all of the rest, whether its last line is whole or not. Output that was truncated has
// no rest.
func (p Poll) last(r reply) (Chunk, error) {
	if p.Offset+int64(len(r.data)) < r.size {
		return Chunk{}, fmt.Errorf("%w: it ends at %d", errOutput, r.size)
	}
	return Chunk{
		Data: r.data, Next: p.Offset + int64(len(r.data)),
		Ended: r.state == stateEnded, Gone: r.state == stateGone, Exit: r.exit, Stderr: r.stderr,
	}, nil
}

// next makes a chunk of whole lines that is not the last one, and fetches what did not come with the poll.
func (p Poll) next(ctx context.Context, box Box, r reply) (Chunk, error) {
	if r.size < p.Offset {
		return Chunk{}, fmt.Errorf("%w: it ends at %d", errOutput, r.size)
	}
	data := r.data
	for {
		have := int64(len(data))
		all := p.Offset+have >= r.size
		whole := bytes.LastIndexByte(data, '\n') + 1
		if whole == 0 && (have >= MaxLine || all && r.state == stateRest) {
			whole = len(data)
		}
		if all || have >= moreBytes && whole > 0 {
			return Chunk{Data: data[:whole], Next: p.Offset + int64(whole)}, nil
		}
		more, err := box.Download(ctx, r.path, p.Offset+have, min(r.size, p.Offset+have+moreBytes))
		if err != nil {
			return Chunk{}, err
		}
		if len(more) == 0 {
			return Chunk{}, fmt.Errorf("%w: nothing behind %d", errOutput, p.Offset+have)
		}
		data = append(data, more...)
	}
}

// The states in a reply.
const (
	stateRunning = "running"
	stateRest    = "rest" // over, but there is more than fits a poll
	stateEnded   = "ended"
	stateGone    = "gone"
	stateLost    = "lost"
)

// reply is what follow.sh prints.
type reply struct {
	state  string
	left   bool // something of the run could not be ended
	exit   int
	size   int64 // of the whole output
	path   string
	data   []byte
	stderr []byte
}

func (r reply) over() bool { return r.state == stateEnded || r.state == stateGone }

// parseReply reads follow.sh's answer: a line of words, the output's path, and two lines of base64.
func parseReply(text string) (reply, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return reply{}, fmt.Errorf("%w: %d lines", errNoAnswer, len(lines))
	}
	head := strings.Fields(lines[0])
	if len(head) != 4 || head[0] != "sandpiper-follow" {
		return reply{}, fmt.Errorf("%w: %q", errNoAnswer, clip(lines[0]))
	}
	r := reply{path: lines[1]}
	r.state, r.left = strings.CutSuffix(head[1], "+left")
	var faults [4]error
	switch r.state {
	case stateEnded:
		r.exit, faults[0] = strconv.Atoi(head[2])
	case stateRunning, stateRest, stateGone, stateLost:
	default:
		faults[0] = fmt.Errorf("state %q", clip(r.state))
	}
	r.size, faults[1] = strconv.ParseInt(head[3], 10, 64)
	r.data, faults[2] = base64.StdEncoding.Strict().DecodeString(lines[2])
	r.stderr, faults[3] = base64.StdEncoding.Strict().DecodeString(lines[3])
	if err := errors.Join(faults[:]...); err != nil || r.size < 0 {
		return reply{}, fmt.Errorf("%w: %w", errNoAnswer, errors.Join(err, fmt.Errorf("size %d", r.size)))
	}
	return r, nil
}
