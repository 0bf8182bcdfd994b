package run

// Kind is what is known about a run from what is found in its sandbox.
type Kind string

// The kinds of evidence, each with what to do.
const (
	Ended         Kind = "ended"          // there is an exit code: take the answer
	Alive         Kind = "alive"          // a process of the run is there: follow it
	NeverLaunched Kind = "never launched" // launch it, under the same run id
	NeverStarted  Kind = "never started"  // the launch died before it began: free; use a new run id
	Answered      Kind = "answered"       // died without an exit code, but its output has a result: take it
	NothingAsked  Kind = "nothing asked"  // died before its first request: free; use a new run id
	Unknown       Kind = "unknown"        // perhaps paid for, and nobody can know
)

// Evidence is what Look found.
type Evidence struct {
	Kind Kind
	Exit int   // when Ended
	Size int64 // bytes of output that are there to be followed
}
