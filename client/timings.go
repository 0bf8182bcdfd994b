package client

// Timings says when things happened to a job.
type Timings struct {
	CreatedAt int64 `json:"createdAt"` // Unix milliseconds, like the others; 0 until it has happened
	StartedAt int64 `json:"startedAt"`
	EndedAt   int64 `json:"endedAt"`
}
