package claude

import (
	"time"

	"sandpiper/internal/job"
)

// Item is one thing that the command's output tells: Init, Requesting, Partial, Retry, Denied, Fallback, Answer,
// Usage or Result. What is not known is left out, so a newer CLI may print more.
type Item interface{ item() }

// Init is the first line of a run: the conversation's id, the model's full name and the tools that exist.
type Init struct {
	SessionID string
	Model     string
	Version   string // of the CLI; "" on 1.0.83
	Tools     []string
}

// Requesting stands before each message that the model is asked for, and is proof that something was asked. The CLI's
// own repetitions of that request have a Retry, and no Requesting of their own (2.1.330).
type Requesting struct{}

// Partial is a piece of the answer while it is being written. The pieces of a message that is cut and asked again
// come twice: only Result is the answer.
type Partial struct{ Text string }

// Retry says that the CLI waits and will ask the API again by itself.
type Retry struct {
	Attempt, Max int
	Delay        time.Duration
	Status       int    // HTTP status; 0 when there was no answer
	Error        string // the CLI's word: "overloaded", "rate_limit"; never a whole sentence
}

// Denied is a tool call that the policy refused. The run goes on.
type Denied struct{ Tool, Message string }

// Fallback says that another model answers from now on.
type Fallback struct{ From, To string }

// Answer is one whole block of text of the model. The last one is not always the result.
type Answer struct{ Text string }

// Usage is what the run has used so far, by model: all of it each time, not what was added.
type Usage struct{ Models []job.ModelUsage }

// Result is the last line of a run. Judge says what it means.
type Result struct {
	Text    string
	IsError bool
}

func (Init) item()       {}
func (Requesting) item() {}
func (Partial) item()    {}
func (Retry) item()      {}
func (Denied) item()     {}
func (Fallback) item()   {}
func (Answer) item()     {}
func (Usage) item()      {}
func (Result) item()     {}
