package job

import "slices"

// State says where a job is on its way. Terminal states never change: retrying an ended job makes a new job.
type State string

// The states of a job, each with how it is left.
const (
	Queued         State = "queued"          // due at RunAfter; leaves by a claim, or ends without one (cancelled, its sandbox deleted)
	Running        State = "running"         // one attempt holds the lease; leaves by Finish, or goes back to Queued for a retry
	Succeeded      State = "succeeded"       // the answer is stored
	Failed         State = "failed"          // the error is stored
	Cancelled      State = "cancelled"       // somebody asked for it, and nothing of it is left running
	OutcomeUnknown State = "outcome_unknown" // launched, and nobody can know whether it was paid for; never re-run unasked
)

// States lists every state in the order of a job's way.
var States = []State{Queued, Running, Succeeded, Failed, Cancelled, OutcomeUnknown}

// moves is the whole state machine. A state without an entry is terminal.
var moves = map[State][]State{
	Queued:  {Running, Failed, Cancelled},
	Running: {Queued, Succeeded, Failed, Cancelled, OutcomeUnknown},
}

// CanBecome reports whether a job may go from s to next in one step.
func (s State) CanBecome(next State) bool { return slices.Contains(moves[s], next) }

// Terminal reports whether a job in s has ended for good.
func (s State) Terminal() bool { return s.Valid() && len(moves[s]) == 0 }

// Valid reports whether s is one of States.
func (s State) Valid() bool { return slices.Contains(States, s) }

// Phase says how far one launch of the command has come, as far as SQL knows. The sandbox may know more.
type Phase string

// The phases of a run.
const (
	Intended Phase = "intended" // the row is committed; nothing was paid before this
	Launched Phase = "launched" // the launcher said that the command was started
	Ended    Phase = "ended"    // its end was read and stored
)

// Priority orders jobs in the queue. The values are also the names of the queues.
type Priority string

// The priorities, most urgent first.
const (
	Interactive Priority = "interactive" // a person waits; the default of a single job
	Default     Priority = "default"
	Bulk        Priority = "bulk" // batches
)

// Priorities lists every priority, most urgent first.
var Priorities = []Priority{Interactive, Default, Bulk}

// Rank is 0 for the most urgent priority, and more for others; -1 for one that is none.
func (p Priority) Rank() int { return slices.Index(Priorities, p) }
