package claude

import (
	"encoding/json"
	"time"

	"sandpiper/internal/job"
)

// Class says what kind of ending a run had, and so what may be done about it.
type Class string

// The classes of endings.
const (
	ClassSucceeded  Class = "succeeded"   // there is an answer
	ClassRetry      Class = "retry"       // the same launch may work later; see Paid before repeating it
	ClassPermanent  Class = "permanent"   // the same prompt will fail again
	ClassOperator   Class = "operator"    // a key, an account or a command line must be put right by a person
	ClassNewSandbox Class = "new sandbox" // this sandbox is broken; another one may do
	ClassUnknown    Class = "unknown"     // launched, and the output does not say how it ended
	ClassStopped    Class = "stopped"     // ended by us: cancelled, or its deadline passed
)

// Paid says whether the model was paid for.
type Paid string

// What is known about money. Only PaidNo allows a repetition that costs nothing.
const (
	PaidNo      Paid = "no"
	PaidPart    Paid = "part"      // tokens were counted, but there is no whole answer
	PaidYes     Paid = "yes"       // the answer was paid for
	PaidUnknown Paid = "not known" // asked, and nothing heard: treat it as paid
)

// Ending is how a run came to its end, as its caller saw it. The zero value is an exit with 0.
type Ending struct {
	Exit      int    // the command's exit code; negative or above 128 means a signal
	Killed    bool   // it died without leaving an exit code
	Stderr    string // the tail of its standard error
	Timeout   bool   // we ended it: its deadline passed
	Cancelled bool   // we ended it: somebody asked for it
	// Announced says that the command line came from Args, so that a "requesting" line stands before every request.
	// Only then does its absence prove that nothing was asked.
	Announced  bool
	Resumed    bool // the run went on with a conversation (Options.Resume)
	WantSchema bool // a structured output was asked for (--json-schema)
}

// Verdict is what an ending means.
type Verdict struct {
	Class     Class
	State     job.State // how the job ends if nothing is repeated
	Code      job.Code  // "" when it succeeded
	Message   string    // for people, one line; may quote the CLI, so mask it like all output
	Retryable bool      // whether submitting the same prompt again could help
	Paid      Paid
	// RetryAfter is how long the API asked to wait, as far as the output tells; 0 when it does not.
	RetryAfter time.Duration

	Text      string           // the answer; after max turns or a spent budget, the last text of the model; else ""
	JSON      json.RawMessage  // the CLI's own result object; nil when there is none
	SessionID string           // the conversation, to resume it by
	Usage     []job.ModelUsage // tokens of this run, by model name
	Turns     int
}

// Free reports whether the same prompt may be launched again without anything being paid twice.
func (v Verdict) Free() bool { return v.Class == ClassRetry && v.Paid == PaidNo }
