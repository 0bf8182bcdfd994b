package daytona

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"time"
	"unicode/utf8"
)

// Execute is a one-shot command: its own shell, outside all sessions. The text is the shell's standard input, so a
// program in it that reads stdin swallows the rest: redirect its stdin.
type Execute struct {
	Before  *Text // what Command is the end of; may be nil
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
	body, err := e.body()
	if err != nil {
		return Executed{}, err
	}
	within := longest
	if e.Timeout > 0 {
		within = e.Timeout + answerWithin
	}
	var done Executed
	err = t.do(ctx, call{method: http.MethodPost, body: body, within: within}, "/process/execute", &done)
	return done, err
}

// Whole is the text of the command.
func (e Execute) Whole() string {
	if e.Before == nil {
		return e.Command
	}
	return e.Before.text + e.Command
}

const commandField = `{"command":"`

func (e Execute) body() (*payload, error) {
	raw, err := json.Marshal(struct {
		Command string            `json:"command"`
		Cwd     string            `json:"cwd,omitempty"`
		Envs    map[string]string `json:"envs,omitempty"`
		Timeout int               `json:"timeout,omitempty"` // whole seconds; fractions are refused
	}{e.Command, e.Cwd, e.Env, int(math.Ceil(e.Timeout.Seconds()))})
	if err != nil {
		return nil, fmt.Errorf("encode a command: %w", err)
	}
	p := &payload{parts: [][]byte{raw}, kind: "application/json"}
	if e.Before != nil {
		p.parts = [][]byte{e.Before.encoded, raw[len(commandField):]}
	}
	return p, nil
}

// Text is what many commands begin with. A request keeps its body until it is answered, and thousands that wait in
// sandboxes keep this one text.
type Text struct {
	text    string
	encoded []byte // as the beginning of a body
}

// NewText prepares a text, which must be valid UTF-8.
func NewText(text string) *Text {
	quoted, err := json.Marshal(text)
	if err != nil || !utf8.ValidString(text) {
		panic("daytona: the text of a command is not UTF-8") // it is a constant of the program
	}
	return &Text{text: text, encoded: append([]byte(commandField), quoted[1:len(quoted)-1]...)}
}
