package client

import (
	"encoding/json"
	"time"
)

// Submit is one prompt to run. Only Input is needed, and UserID where the key belongs to nobody or there is none.
type Submit struct {
	UserID         string            `json:"userId,omitempty"`
	SandboxID      string            `json:"sandboxId,omitempty"` // "" means one from the user's pool
	Input          string            `json:"input"`               // reaches Claude byte for byte
	Model          string            `json:"model,omitempty"`     // "sonnet" by default, "haiku", "opus" or a full id
	OutputFormat   string            `json:"outputFormat,omitempty"`
	TimeoutSeconds int               `json:"timeoutSeconds,omitempty"` // 1 to 21600; 3600 by default
	Priority       string            `json:"priority,omitempty"`       // "interactive" by default, "default" or "bulk"
	Metadata       map[string]string `json:"metadata,omitempty"`

	Stream             bool     `json:"stream,omitempty"`             // show the text while it is written, as partial events
	MaxTurns           int      `json:"maxTurns,omitempty"`           // 1 to 1000; 100 by default. Each call of a tool is a turn
	SystemPrompt       string   `json:"systemPrompt,omitempty"`       // in place of the command's own
	AppendSystemPrompt string   `json:"appendSystemPrompt,omitempty"` // added to it
	AllowedTools       []string `json:"allowedTools,omitzero"`        // the tools that exist: nil means all of the policy, an empty list none
	DisallowedTools    []string `json:"disallowedTools,omitempty"`    // taken away again: "Bash", or "Bash(grep:*)"

	ConversationID string `json:"conversationId,omitempty"` // of an earlier job: go on with that conversation
	Continue       bool   `json:"continue,omitempty"`       // go on with the newest conversation in SandboxID
	FreshSandbox   bool   `json:"freshSandbox,omitempty"`   // begin in a sandbox that no job of before has used

	Retry *Retry `json:"retry,omitempty"` // nil means up to three launches, and none after one that was paid

	// IdempotencyKey makes repeating a submission harmless: the same key with the same body gives the same job.
	// When it is empty, Submit makes one for this call, so that its own repeats are harmless too.
	IdempotencyKey string `json:"-"`
}

// Retry says how often a job may be launched by itself, and whether also when that is paid again.
type Retry struct {
	MaxAttempts int  `json:"maxAttempts,omitempty"` // 1 to 10; 3 by default
	AfterSpend  bool `json:"afterSpend,omitempty"`  // again also when a failed try was paid, in part or whole
}

// State says where a job is on its way.
type State string

// The states of a job. All but the first two are final.
const (
	Queued         State = "queued"
	Running        State = "running"
	Succeeded      State = "succeeded"
	Failed         State = "failed"
	Cancelled      State = "cancelled"
	OutcomeUnknown State = "outcome_unknown" // launched, and nobody can know how it ended; never run again unasked
)

// Ended reports whether a job in s never changes again.
func (s State) Ended() bool { return s != Queued && s != Running && s != "" }

// Job is a job as the API shows it.
type Job struct {
	JobID     string       `json:"jobId"`
	UserID    string       `json:"userId"`
	SandboxID string       `json:"sandboxId"`
	State     State        `json:"state"`
	Attempt   int64        `json:"attempt"` // how often it was claimed
	Tries     int          `json:"tries"`   // how many finished, classified failures it has used
	Result    *Result      `json:"result"`  // set when it succeeded
	Error     *Failure     `json:"error"`   // set when it ended otherwise
	Usage     []ModelUsage `json:"usage"`
	CostUSD   *float64     `json:"costUsd"` // nil until it is known, and where no price is known
	Timings   Timings      `json:"timings"`

	ExitCode       *int              `json:"exitCode"` // nil until it has ended; 0 only if it succeeded
	Model          string            `json:"model"`
	OutputFormat   string            `json:"outputFormat"`
	TimeoutSeconds int               `json:"timeoutSeconds"`
	Priority       string            `json:"priority"`
	Metadata       map[string]string `json:"metadata"`

	Retry Retry `json:"retry"`

	CancelRequested bool   `json:"cancelRequested"`
	WaitingFor      string `json:"waitingFor"` // why a queued job is not started yet
	BatchID         string `json:"batchId"`
	CustomID        string `json:"customId"`
	RetryOf         string `json:"retryOf"`
	ConversationID  string `json:"conversationId"` // what it began, or went on with; a later Submit can name it
	LastSeq         int64  `json:"lastSeq"`        // seq of its newest event
}

// Timings says when things happened to a job, on the database's clock. A time is zero until it has come.
type Timings struct {
	CreatedAt time.Time `json:"createdAt"`
	StartedAt time.Time `json:"startedAt"` // its first claim
	EndedAt   time.Time `json:"endedAt"`
	QueuedMS  int64     `json:"queuedMs"` // until it was first claimed, or ended unclaimed
	RunMS     int64     `json:"runMs"`    // from its first claim to its end
}

// Result is a job's answer.
type Result struct {
	Text   string          `json:"text"`
	Format string          `json:"format"` // "text" or "json", as asked
	JSON   json.RawMessage `json:"json"`   // the CLI's own result object; nil when there is none
}

// Failure is why a job did not succeed. Code is stable and meant for programs.
type Failure struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"` // whether the same prompt could do better another time
}

// ModelUsage counts the tokens of one model.
type ModelUsage struct {
	Model            string `json:"model"`
	InputTokens      int64  `json:"inputTokens"`
	OutputTokens     int64  `json:"outputTokens"`
	CacheReadTokens  int64  `json:"cacheReadTokens"`
	CacheWriteTokens int64  `json:"cacheWriteTokens"`
}

// EventType is the type of a message. A reader ignores the types that it does not know.
type EventType string

// The types of events.
const (
	EventLog     EventType = "log"
	EventResult  EventType = "result"
	EventError   EventType = "error" // at most once, just before done
	EventDone    EventType = "done"  // the last event of every job, once
	EventState   EventType = "state"
	EventPartial EventType = "partial"
)

// Event is something that happened to a job: the same message on the socket, in a stream and in a page.
type Event struct {
	Type      EventType `json:"type"`
	SandboxID string    `json:"sandboxId"` // "" until the job has one
	JobID     string    `json:"jobId"`
	TS        int64     `json:"ts"`     // Unix milliseconds
	Seq       int64     `json:"seq"`    // per job, from 1, without a gap
	Cursor    string    `json:"cursor"` // place in a stream of many jobs; opaque

	Level    string `json:"level,omitempty"`    // log
	Data     string `json:"data,omitempty"`     // log, result, partial
	Format   string `json:"format,omitempty"`   // result: "text" or "json"
	Code     string `json:"code,omitempty"`     // error
	Message  string `json:"message,omitempty"`  // error
	ExitCode int    `json:"exitCode,omitempty"` // done: 0 only if the job succeeded
	State    State  `json:"state,omitempty"`    // state
	Attempt  int64  `json:"attempt,omitempty"`  // state
	Reason   string `json:"reason,omitempty"`   // state: why
}

// At is when the event happened, on the database's clock.
func (e Event) At() time.Time { return time.UnixMilli(e.TS) }
