package daytona

import (
	"context"
	"math"
	"net/http"
	"time"
)

// Execute is a one-shot command: its own shell, outside all sessions. The text is the shell's standard input, so a
// program in it that reads stdin swallows the rest: redirect its stdin.
type Execute struct {
	Command string
	Cwd     string            // "" means the daemon's working directory
	Env     map[string]string // added to the sandbox's
	Timeout time.Duration     // then it is killed and ErrTimeout returned; rounded up to seconds; 0 means none
}

// Executed is what a one-shot command gave. Output is stdout and stderr as they came, not byte for byte: encode
// what has to be exact. ExitCode is -1 when the shell was killed or could not start.
type Executed struct {
	ExitCode int    `json:"exitCode"`
	Output   string `json:"result"`
}

// Execute runs one command and waits for its end and for the end of every child that holds its output open. The
// command goes on when ctx ends first.
func (t *Toolbox) Execute(ctx context.Context, e Execute) (Executed, error) {
	body := struct {
		Command string            `json:"command"`
		Cwd     string            `json:"cwd,omitempty"`
		Envs    map[string]string `json:"envs,omitempty"`
		Timeout int               `json:"timeout,omitempty"` // whole seconds; fractions are refused
	}{e.Command, e.Cwd, e.Env, int(math.Ceil(e.Timeout.Seconds()))}
	within := longest
	if e.Timeout > 0 {
		within = e.Timeout + answerWithin
	}
	var done Executed
	err := t.do(ctx, call{method: http.MethodPost, body: body, within: within}, "/process/execute", &done)
	return done, err
}
