package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
)

// Box is a sandbox, as far as this room needs it. *daytona.Toolbox is one.
type Box interface {
	Upload(ctx context.Context, files ...daytona.File) error
	Exec(ctx context.Context, session, command string) (daytona.Exec, error)
	RenewSession(ctx context.Context, id string) error
	Execute(ctx context.Context, e daytona.Execute) (daytona.Executed, error)
	Download(ctx context.Context, path string, from, to int64) ([]byte, error)
}

// DefaultHome is the home folder of the user in our snapshot.
const DefaultHome = "/home/daytona"

// Launch is one launch of a run.
type Launch struct {
	RunID   string // letters, digits and _; a folder's name
	Attempt int64
	Session string // the sandbox's session; made (again) when it is not there
	Home    string // the sandbox's home folder, for the upload; "" means DefaultHome
	Args    []string
	Env     map[string]string // what the command gets besides what it inherits; no secrets, it is a file in the sandbox
	Prompt  []byte

	// StartWithin is how long after this call the command may still be started, at most the rest of the lease. A
	// launch that is held up longer, here or in the network, starts nothing. It must be positive.
	StartWithin time.Duration
	// Timeout is the job's own; a watchdog in the sandbox ends the run a minute after it. It must be positive.
	Timeout time.Duration
}

// Started says what a launch came to. With neither flag set, this launch started the command.
type Started struct {
	Already bool // another launch of the same run came first, or the run was stopped before it began
	TooLate bool // StartWithin was over: nothing was started by this launch
}

// Chunk is what one poll brought.
type Chunk struct {
	Data  []byte // whole lines; a last line without an end only when the run is over
	Next  int64  // the offset to ask for next: From + len(Data)
	Ended bool   // the command has ended, all of its output was delivered, and nothing of it is left running
	Gone  bool   // no process of the run is left and it left no exit code: ask Look. All output was delivered
	Exit  int    // when Ended: the command's exit code, 128+n when signal n killed it
	// Stderr is the end of its standard error, at most 64 KiB, when Ended or Gone.
	Stderr []byte
}

// ErrTaken means that a newer attempt has taken the run over. It is a job.ErrLost that the sandbox has said.
var ErrTaken = fmt.Errorf("%w: a newer attempt has taken its run over", job.ErrLost)

// ErrUnasked means that what the run needs could not be uploaded, and that the sandbox was not asked to start it.
var ErrUnasked = errors.New("it was not asked for")

// ErrStillRunning means that something of the run could not be ended: stop the sandbox by force.
var ErrStillRunning = errors.New("processes of the run are still there")
