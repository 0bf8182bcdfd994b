package checkup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"sandpiper/internal/claude"
)

// sum is the prompt of every check. It is ours, so the guide's pipe may carry it.
const sum = "What is 2 + 2?"

var four = regexp.MustCompile(`\b4\b`)

// commandLine is the guide's command: the prompt through a pipe. What a job's run is closed to (settings and servers of
// the working directory, tools) is closed here too.
func (p *place) commandLine(model, format string) string {
	env := claude.Env(claude.EnvOptions{BaseURL: p.model})
	var b strings.Builder
	fmt.Fprintf(&b, "printf '%%s' %s | env", quote(sum))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&b, " %s=%s", name, quote(env[name]))
	}
	fmt.Fprintf(&b, " claude -p --output-format %s --model %s --setting-sources= --strict-mcp-config --tools=", format, model)
	return b.String()
}

// quote makes one word of s for a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// ask runs the command in a session and judges the answer.
func (v *visit) ask(ctx context.Context, session, model, format string) (string, error) {
	began := time.Now()
	out, err := v.tools.Exec(ctx, session, v.place.commandLine(model, format))
	if err != nil {
		return "", err
	}
	text, err := answerOf(out.Stdout, out.Stderr, out.ExitCode, format)
	if err != nil {
		return "", err
	}
	return rightAnswer(text, time.Since(began))
}

// answerOf reads what the command printed: in json the field result, as the guide has it, else all of it.
func answerOf(stdout, stderr string, exit int, format string) (string, error) {
	var r struct {
		Result  string `json:"result"`
		IsError bool   `json:"is_error"`
	}
	parsed := format == "json" && json.Unmarshal([]byte(stdout), &r) == nil
	switch {
	case parsed && r.IsError:
		return "", remedy(fmt.Errorf("claude says: %s", short(r.Result)), advice(r.Result))
	case exit != 0:
		said := short(stdout + " " + stderr)
		return "", remedy(fmt.Errorf("claude ended with exit code %d: %s", exit, said), advice(said))
	case parsed:
		return r.Result, nil
	case format == "json":
		return "", fmt.Errorf("not the JSON that was asked for: %s", short(stdout))
	}
	return stdout, nil
}

// advice is what helps against what the command most often says.
func advice(said string) string {
	said = strings.ToLower(said)
	for _, known := range []struct{ part, do string }{
		{"api key", "ANTHROPIC_API_KEY is refused by the model API: set a valid one"},
		{"401", "ANTHROPIC_API_KEY is refused by the model API: set a valid one"},
		{"not logged in", "set ANTHROPIC_API_KEY"},
		{"credit", "the account of ANTHROPIC_API_KEY has no credit"},
		{"429", "the model API limits you: try again later"},
		{"overloaded", "the model API is overloaded: try again later"},
		{"connect", "the sandbox does not reach the model API: see DNS and HTTPS above, and ANTHROPIC_BASE_URL"},
	} {
		if strings.Contains(said, known.part) {
			return known.do
		}
	}
	return "run `sandpiper run` with the same prompt: its events say more"
}

func rightAnswer(text string, took time.Duration) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "", errors.New("the answer is empty")
	}
	if !four.MatchString(text) {
		return "", remedy(fmt.Errorf("%q was answered with %q", sum, short(text)), "the model answers, and wrongly: is ANTHROPIC_BASE_URL what you mean?")
	}
	return fmt.Sprintf("%q in %.1f s", short(text), took.Seconds()), nil
}

// short is the begin of a text, on one line.
func short(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > 160 {
		return string(runes[:160]) + "…"
	}
	return text
}
