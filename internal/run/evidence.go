package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sandpiper/internal/job"
)

// Kind is what is known about a run from what is found in its sandbox.
type Kind string

// The kinds of evidence, each with what to do.
const (
	Ended         Kind = "ended"          // there is an exit code: take the answer
	Alive         Kind = "alive"          // a process of the run is there: follow it
	NeverLaunched Kind = "never launched" // launch it, under the same run id
	NeverStarted  Kind = "never started"  // the launch died before it began, or was stopped: free; use a new run id
	Answered      Kind = "answered"       // died without an exit code, but its output has a result: follow it to its end and take it
	NothingAsked  Kind = "nothing asked"  // died before its first request: free; use a new run id
	Unknown       Kind = "unknown"        // perhaps paid for, and nobody can know
)

// Evidence is what Look found.
type Evidence struct {
	Kind Kind
	Exit int   // when Ended
	Size int64 // bytes of output that are there to be followed
}

// Look takes a run over for an attempt and says what became of it, from SQL's phase and what is found in the sandbox. From
// then on launches and stops of older attempts do nothing there; ErrTaken means that a newer one has it. Nothing else
// is changed. A sandbox that does not answer is an error, and no evidence: wait. One request, and a second one in the rare
// case that the command died without an exit code and there may be a result.
func Look(ctx context.Context, box Box, runID string, attempt int64, phase job.Phase) (Evidence, error) {
	e, err := look(ctx, box, runID, attempt, phase)
	if err != nil {
		return Evidence{}, fmt.Errorf("look into run %s: %w", runID, err)
	}
	return e, nil
}

func look(ctx context.Context, box Box, runID string, attempt int64, phase job.Phase) (Evidence, error) {
	if !validID(runID) {
		return Evidence{}, errors.New("bad run id")
	}
	text, err := ask(ctx, box, lookScript(), time.Minute, runID, attempt)
	if err != nil {
		return Evidence{}, err
	}
	if text == "sandpiper-look lost" {
		return Evidence{}, ErrTaken
	}
	f, err := parseFound(text)
	if err != nil {
		return Evidence{}, err
	}
	if f.marker && f.resultAt >= 0 && !f.running && f.exit == nil {
		if f.result, err = hasResult(ctx, box, f); err != nil {
			return Evidence{}, err
		}
	}
	e := Evidence{Kind: f.kind(phase), Size: f.size}
	if f.exit != nil {
		e.Exit = *f.exit
	}
	return e, nil
}

// found is what look.sh prints.
type found struct {
	folder, lock, marker, running bool
	exit                          *int
	size                          int64
	asked                         bool  // the output has a line that says that a request was made
	resultAt                      int64 // where the last line begins that may be a result; -1 for none
	path                          string
	result                        bool // that line is whole, and a result
}

// kind is the evidence table. The first row that fits decides.
func (f found) kind(phase job.Phase) Kind {
	switch {
	case f.exit != nil:
		return Ended
	case f.running:
		return Alive
	case !f.folder && (f.marker || phase != job.Intended):
		return Unknown // somebody has removed what would tell
	case f.marker && f.result:
		return Answered
	case f.marker && !f.asked:
		return NothingAsked
	case f.marker || phase != job.Intended:
		return Unknown
	case f.lock:
		return NeverStarted
	default:
		return NeverLaunched
	}
}

func parseFound(text string) (found, error) {
	head, path, _ := strings.Cut(text, "\n")
	words := strings.Fields(head)
	if len(words) != 9 || words[0] != "sandpiper-look" {
		return found{}, fmt.Errorf("%w: %q", errNoAnswer, clip(head))
	}
	f := found{path: path, resultAt: -1}
	for i, flag := range []*bool{&f.folder, &f.lock, &f.marker, &f.running} {
		*flag = words[i+1] == "1"
	}
	f.asked = words[7] == "1"
	var faults [3]error
	if words[5] != "-" {
		var code int
		code, faults[0] = strconv.Atoi(words[5])
		f.exit = &code
	}
	f.size, faults[1] = strconv.ParseInt(words[6], 10, 64)
	if words[8] != "-" {
		f.resultAt, faults[2] = strconv.ParseInt(words[8], 10, 64)
	}
	if err := errors.Join(faults[:]...); err != nil {
		return found{}, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	return f, nil
}

// hasResult reads the line that may be a result. Its words alone prove nothing: a tool's input may hold them.
func hasResult(ctx context.Context, box Box, f found) (bool, error) {
	rest, err := box.Download(ctx, f.path, f.resultAt, min(f.size, f.resultAt+MaxLine))
	if err != nil {
		return false, err
	}
	line, _, whole := bytes.Cut(rest, []byte("\n"))
	var object struct {
		Type string `json:"type"`
	}
	return whole && json.Unmarshal(line, &object) == nil && object.Type == "result", nil
}
