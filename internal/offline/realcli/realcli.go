// Package realcli runs the real claude command in tests, against a stand-in model on loopback, in a home and a
// work directory of its own and with the environment that a sandbox gives it. Only tests import it.
//
// It must never reach another host: the base URL is always the caller's, and the key is not a real one.
package realcli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Key is the API key that every run has. It opens nothing.
const Key = "sk-ant-not-a-real-key"

// Options of one run.
type Options struct {
	URL    string   // of the stand-in model; required
	Prompt string   // given on stdin
	Args   []string // behind `claude -p`
	Home   string   // "" makes a new one
	Dir    string   // working directory; "" makes a new one
	Env    []string // added, as NAME=value
}

// Output is what a run left.
type Output struct {
	Exit   int
	Stdout []byte
	Stderr string
	Lines  []map[string]any // stdout as JSON lines; a line that is no JSON is left out
	Result map[string]any   // the last line of type "result"; nil without one
	Home   string
	Dir    string
}

// Path is the claude binary under test.
func Path(t testing.TB) string {
	t.Helper()
	path := os.Getenv("SANDPIPER_CLAUDE")
	if path == "" {
		t.Fatal("set SANDPIPER_CLAUDE, or run make test, which installs it")
	}
	return path
}

// Run runs claude to its end, which must come within two minutes.
func Run(t testing.TB, o Options) Output {
	t.Helper()
	out := Output{Home: or(o.Home, t), Dir: or(o.Dir, t)}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, Path(t), append([]string{"-p"}, o.Args...)...)
	cmd.Dir = out.Dir
	cmd.Env = append(environment(o.URL, out.Home, t.TempDir()), o.Env...)
	cmd.Stdin = strings.NewReader(o.Prompt)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout := filepath.Join(t.TempDir(), "stdout") // a file: the CLI may drop the end of what it writes to a pipe
	if err := runInto(cmd, stdout); err != nil {
		t.Fatalf("run claude: %v\n%s", err, stderr.String())
	}
	out.Exit, out.Stderr = cmd.ProcessState.ExitCode(), stderr.String()
	data, err := os.ReadFile(stdout)
	if err != nil {
		t.Fatal(err)
	}
	out.Stdout = data
	for line := range bytes.Lines(data) {
		var event map[string]any
		if json.Unmarshal(line, &event) != nil {
			continue
		}
		out.Lines = append(out.Lines, event)
		if event["type"] == "result" {
			out.Result = event
		}
	}
	return out
}

func or(dir string, t testing.TB) string {
	if dir == "" {
		return t.TempDir()
	}
	return dir
}

func runInto(cmd *exec.Cmd, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	cmd.Stdout = f
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil // the caller judges the code
	}
	return errors.Join(err, f.Close())
}

// environment is what a run in a sandbox has, and nothing of the caller's.
func environment(url, home, tmp string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LANG=C.UTF-8",
		"ANTHROPIC_BASE_URL=" + url, "ANTHROPIC_API_KEY=" + Key,
		"DISABLE_AUTOUPDATER=1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
		"CLAUDE_CODE_MAX_RETRIES=2", "API_TIMEOUT_MS=300000",
		"CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK=1", "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS=1",
		"CLAUDE_CODE_DISABLE_FILE_MENTIONS=1", "CLAUDE_CODE_TMPDIR=" + tmp,
	}
}

// Flags are the arguments behind `claude -p` that every run of Sandpiper has, without those of a tool policy.
func Flags(model string) []string {
	return []string{
		"--output-format", "stream-json", "--verbose", "--include-partial-messages",
		"--model", model, "--max-turns", "100", "--setting-sources", "", "--strict-mcp-config",
	}
}

// Text is the answer of the run; what there is instead when there is none.
func (o Output) Text() string {
	if text, ok := o.Result["result"].(string); ok {
		return text
	}
	return fmt.Sprintf("[no result, exit %d] %s%s", o.Exit, o.Stdout, o.Stderr)
}
