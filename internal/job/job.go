package job

import (
	"encoding/json"
	"slices"
	"time"
)

// Job is one prompt to run: a SQL row, as a reader sees it.
type Job struct {
	ID     string
	Tenant string
	UserID string
	Spec   Spec

	State           State
	Attempt         int64  // the fencing token: one more at every claim
	Tries           int    // launches charged against the retry limit
	Moves           int    // how often it was given a new sandbox because its own was broken
	SandboxID       string // the sandbox it was submitted with or was given at its first claim; "" before
	CancelRequested bool
	WaitingFor      string // why a queued job is not started yet; "" when it is simply due
	LastSeq         int64  // seq of its newest event
	BatchID         string
	CustomID        string
	RetryOf         string
	ConversationID  string // the conversation that it begins or goes on with; the store makes one for a job without

	// Hinted is about a submission only. Its submitter says with it that it would push the first hint of the job itself; the
	// store answers whether it is to do so.
	Hinted bool

	RunAfter  time.Time
	CreatedAt time.Time
	StartedAt time.Time // first claim; zero before
	EndedAt   time.Time // zero until it has ended

	Outcome *Outcome // nil until it has ended
}

// Attempt names one claim of a job. Every write made for it carries Number and is refused with ErrLost when
// another attempt has taken over.
type Attempt struct {
	JobID  string
	Number int64
	Worker string // who holds it
}

// Run is one launch of the claude command in a sandbox. A later attempt may adopt it.
type Run struct {
	ID         string
	JobID      string
	SandboxID  string
	Attempt    int64 // the attempt that intended it
	Phase      Phase
	Session    string // id of the command's own session, which no other run has
	Resume     string // id of the session that it goes on with; "" begins a conversation
	Offset     int64  // bytes of its output that are stored as events; always the end of a line
	Usage      []ModelUsage
	Limit      time.Duration // how long after its intent the watchdog in the sandbox ends it
	IntendedAt time.Time
	LaunchedAt time.Time // zero until launched
}

// Result is a job's answer.
type Result struct {
	Text   string          // the answer as text
	Format Format          // what the caller asked for
	JSON   json.RawMessage // the CLI's own result object; nil when its output could not be parsed
}

// Failure is why a job did not succeed. Code is one of the stable codes in codes.go.
type Failure struct {
	Code      Code
	Message   string // for people; masked, never holds a secret
	Retryable bool   // whether submitting the same prompt again could help
}

// ModelUsage counts the tokens that one model used in one run.
type ModelUsage struct {
	Model            string `json:"model"`
	InputTokens      int64  `json:"inputTokens"`
	OutputTokens     int64  `json:"outputTokens"`
	CacheReadTokens  int64  `json:"cacheReadTokens"`
	CacheWriteTokens int64  `json:"cacheWriteTokens"`
}

// Spend is what runs used.
type Spend struct {
	Usage   []ModelUsage
	CostUSD *float64 // nil when a model has no known price, and when nothing was used
	Price   string   // the version of the price table, "" without a cost
}

// Plus is s and more together. A cost that is not known on one side is not known for both.
func (s Spend) Plus(more Spend) Spend {
	switch {
	case len(s.Usage) == 0 && s.CostUSD == nil:
		return more
	case len(more.Usage) == 0 && more.CostUSD == nil:
		return s
	}
	sum := Spend{Usage: slices.Clone(s.Usage)}
	if s.CostUSD != nil && more.CostUSD != nil {
		cost := *s.CostUSD + *more.CostUSD
		sum.CostUSD, sum.Price = &cost, more.Price
	}
	for _, u := range more.Usage {
		i := slices.IndexFunc(sum.Usage, func(known ModelUsage) bool { return known.Model == u.Model })
		if i < 0 {
			sum.Usage = append(sum.Usage, u)
			continue
		}
		at := &sum.Usage[i]
		at.InputTokens += u.InputTokens
		at.OutputTokens += u.OutputTokens
		at.CacheReadTokens += u.CacheReadTokens
		at.CacheWriteTokens += u.CacheWriteTokens
	}
	return sum
}

// Outcome is how a job ended. It is written once, by Finish, and never changes.
type Outcome struct {
	State        State // a terminal state
	Result       *Result
	Failure      *Failure
	ExitCode     int // see ExitCode
	Usage        []ModelUsage
	CostUSD      *float64 // nil when a model has no known price
	PriceVersion string   // the version of the price table, "" without a cost
	Earlier      Spend    // what earlier runs of the job had used; a stored outcome has it in its sums
	Session      string   // the command's session that the next job of the conversation goes on with; "" when nothing was said
	Log          string   // a log line that comes before the result, "" for none; kept as an event only
}

// Success is the outcome of a job that was answered.
func Success(r Result) Outcome { return Outcome{State: Succeeded, Result: &r} }

// FailedWith is the outcome of a job that ended in state s for the reason f. cliExit is the CLI's own exit code, 0
// when there was no run: the exit code of a job is 0 only if it succeeded.
func FailedWith(s State, f Failure, cliExit int) Outcome {
	code := cliExit
	switch {
	case s == Cancelled:
		code = 130
	case code == 0:
		code = 1
	}
	return Outcome{State: s, Failure: &f, ExitCode: code}
}

// Events are the last events of a job: what is said of its answer, its result or its error, then the one done.
func (o Outcome) Events(now time.Time) []Event {
	var events []Event
	if o.Log != "" {
		events = append(events, Log(now, o.Log))
	}
	if r := o.Result; r != nil {
		e := Event{At: now, Type: EventResult, Format: FormatText, Data: r.Text}
		if r.Format == FormatJSON && len(r.JSON) > 0 {
			e.Format, e.Data = FormatJSON, string(r.JSON)
		}
		events = append(events, e)
	}
	if f := o.Failure; f != nil {
		events = append(events, Event{At: now, Type: EventError, Code: f.Code, Message: f.Message})
	}
	return append(events, Event{At: now, Type: EventDone, ExitCode: o.ExitCode})
}

// Sandbox is one Daytona sandbox as SQL knows it. Its ID is ours; it is also its name on the platform, so that a
// creation whose answer was lost can be looked up.
type Sandbox struct {
	ID          string
	Tenant      string
	UserID      string
	PlatformID  string // Daytona's id; "" until it was created
	State       SandboxState
	Snapshot    string
	Fingerprint string // what a pooled sandbox must match to be used again
	BusyJob     string // the job that holds it; "" when idle
	Pooled      bool   // whether a job that names no sandbox may use it
	Reason      string // why it failed or is gone
	CreatedAt   time.Time
	LastUsedAt  time.Time // when a job last took or left it, or when it was made if none did
}

// SandboxState says how a sandbox may be used.
type SandboxState string

// The states of a sandbox.
const (
	SandboxCreating SandboxState = "creating" // the row is there; a worker makes it
	SandboxReady    SandboxState = "ready"    // may be taken, unless BusyJob is set
	SandboxCleanup  SandboxState = "cleanup"  // not to be used again; to be deleted
	SandboxGone     SandboxState = "gone"     // deleted, or it could not be made
)

// News says that something was committed. It is published after commit and may be lost: a reader that misses it
// finds the same in SQL.
type News struct {
	Tenant   string `json:"t,omitempty"`
	UserID   string `json:"u,omitempty"`
	JobID    string `json:"j,omitempty"`
	BatchID  string `json:"b,omitempty"`
	Seq      int64  `json:"s,omitempty"` // newest seq of the job
	Ended    bool   `json:"e,omitempty"` // the job has ended
	Cancel   bool   `json:"c,omitempty"` // somebody asked to cancel the job
	Sandbox  string `json:"x,omitempty"` // a sandbox changed, or waits to be made
	Position int64  `json:"p,omitempty"` // stream position of the newest event
	Hinted   bool   `json:"h,omitempty"` // a hint was pushed
	Released bool   `json:"r,omitempty"` // a worker has given back the jobs that it held: others take them up
	Wanted   bool   `json:"w,omitempty"` // jobs are due that no hint was given out for yet
}

// Hint says that a job is due. It is never the truth: a claim decides.
type Hint struct {
	JobID       string
	DispatchSeq int64 // makes a pushed-again hint a new one
	Priority    Priority
}
