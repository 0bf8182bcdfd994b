package httpapi

import (
	"encoding/json"
	"time"

	"sandpiper/internal/job"
)

// page is a part of a list.
type page[T any] struct {
	Items []T `json:"items"`
	Next  any `json:"next"` // what to give as cursor or after to go on; null at the end
}

func pageOf[T, V any](items []T, view func(T) V, next any) page[V] {
	p := page[V]{Items: make([]V, len(items)), Next: next}
	for i, item := range items {
		p.Items[i] = view(item)
	}
	return p
}

// jobView is a job as clients see it. What is not known (yet) is null.
type jobView struct {
	JobID           string            `json:"jobId"`
	UserID          string            `json:"userId"`
	SandboxID       any               `json:"sandboxId"`
	State           job.State         `json:"state"`
	Attempt         int64             `json:"attempt"`
	Tries           int               `json:"tries"`
	Model           string            `json:"model"`
	OutputFormat    job.Format        `json:"outputFormat"`
	TimeoutSeconds  int64             `json:"timeoutSeconds"`
	Priority        job.Priority      `json:"priority"`
	Metadata        map[string]string `json:"metadata"`
	Retry           retryView         `json:"retry"`
	CancelRequested bool              `json:"cancelRequested"`
	WaitingFor      any               `json:"waitingFor"`
	BatchID         any               `json:"batchId"`
	CustomID        any               `json:"customId"`
	RetryOf         any               `json:"retryOf"`
	ConversationID  string            `json:"conversationId"`
	RunAfter        any               `json:"runAfter"`
	LastSeq         int64             `json:"lastSeq"`
	Result          *resultView       `json:"result"`
	Error           *errorView        `json:"error"`
	ExitCode        *int              `json:"exitCode"`
	Usage           []job.ModelUsage  `json:"usage"`
	CostUSD         *float64          `json:"costUsd"`
	Timings         timings           `json:"timings"`
}

type retryView struct {
	MaxAttempts int  `json:"maxAttempts"`
	AfterSpend  bool `json:"afterSpend"`
}

type resultView struct {
	Text   string          `json:"text"`
	Format job.Format      `json:"format"`
	JSON   json.RawMessage `json:"json,omitempty"` // the CLI's result object
}

type errorView struct {
	Code      job.Code `json:"code"`
	Message   string   `json:"message"`
	Retryable bool     `json:"retryable"`
}

type timings struct {
	CreatedAt any `json:"createdAt"`
	StartedAt any `json:"startedAt"`
	EndedAt   any `json:"endedAt"`
	QueuedMS  any `json:"queuedMs"` // until it was first claimed, or ended unclaimed
	RunMS     any `json:"runMs"`    // from the first claim to the end
}

func viewOf(j job.Job) jobView {
	v := jobView{
		JobID: j.ID, UserID: j.UserID, SandboxID: orNull(j.SandboxID),
		State: j.State, Attempt: j.Attempt, Tries: j.Tries,
		Model: j.Spec.Model, OutputFormat: j.Spec.OutputFormat, Priority: j.Spec.Priority,
		TimeoutSeconds: int64(j.Spec.Timeout / time.Second), Metadata: j.Spec.Metadata,
		Retry:           retryView(j.Spec.WithDefaults().Retry),
		CancelRequested: j.CancelRequested, WaitingFor: orNull(j.WaitingFor),
		BatchID: orNull(j.BatchID), CustomID: orNull(j.CustomID), RetryOf: orNull(j.RetryOf), ConversationID: j.ConversationID,
		RunAfter: stamp(j.RunAfter), LastSeq: j.LastSeq, Usage: []job.ModelUsage{}, Timings: timingsOf(j),
	}
	if v.Metadata == nil {
		v.Metadata = map[string]string{}
	}
	if j.Outcome != nil {
		v.end(*j.Outcome)
	}
	return v
}

// end shows how the job ended.
func (v *jobView) end(o job.Outcome) {
	v.ExitCode, v.CostUSD = &o.ExitCode, o.CostUSD
	v.Usage = append(v.Usage, o.Usage...)
	if r := o.Result; r != nil {
		v.Result = &resultView{Text: r.Text, Format: r.Format}
		if json.Valid(r.JSON) { // one bad answer must not make a list unreadable
			v.Result.JSON = r.JSON
		}
	}
	if f := o.Failure; f != nil {
		v.Error = &errorView{f.Code, f.Message, f.Retryable}
	}
}

func timingsOf(j job.Job) timings {
	started := j.StartedAt
	if started.IsZero() {
		started = j.EndedAt
	}
	t := timings{
		CreatedAt: stamp(j.CreatedAt), StartedAt: stamp(j.StartedAt), EndedAt: stamp(j.EndedAt),
		QueuedMS: between(j.CreatedAt, started),
	}
	if !j.StartedAt.IsZero() {
		t.RunMS = between(j.StartedAt, j.EndedAt)
	}
	return t
}

// stamp shows a time as RFC 3339 in UTC with milliseconds, and null for none.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// between is a span in milliseconds, null while it has no end.
func between(from, to time.Time) any {
	if from.IsZero() || to.IsZero() {
		return nil
	}
	return to.Sub(from).Milliseconds()
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
