package run

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"sandpiper/internal/daytona"
)

// The scripts that run in the sandbox. run.sh is uploaded with each launch; the others come with each question, so
// that an old run is read by the newest code. Each is prepared when it is first needed: most processes of ours, one in each
// sandbox among them, need none.
var (
	//go:embed sh/common.sh
	common string
	//go:embed sh/run.sh
	runOnly string
	//go:embed sh/follow.sh
	followOnly string
	//go:embed sh/look.sh
	lookOnly string
	//go:embed sh/stop.sh
	stopOnly string

	runScript    = sync.OnceValue(func() string { return bare(common + runOnly) })
	followScript = oneShot(&followOnly)
	lookScript   = oneShot(&lookOnly)
	stopScript   = oneShot(&stopOnly)
)

// bare leaves out the lines that are comments, which would travel with every poll.
func bare(script string) string {
	var b strings.Builder
	for line := range strings.Lines(script) {
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// quote makes one word of any text without NUL, for every shell that the platform may use.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// oneShot is the beginning of a one-shot command that runs a script of ours in bash, whatever the sandbox's shell is. The
// shell is replaced, not waited in.
func oneShot(own *string) func() *daytona.Text {
	return sync.OnceValue(func() *daytona.Text {
		return daytona.NewText("exec bash -c " + quote(bare(common+*own)) + " sandpiper")
	})
}

// arguments are the rest of it. The shell's standard input, which is this very text, is closed.
func arguments(args []any) string {
	var b strings.Builder
	for _, a := range args {
		b.WriteString(" " + quote(fmt.Sprint(a)))
	}
	return b.String() + " </dev/null"
}

// errNoAnswer means that a script of ours was cut off: killed, out of memory, or no bash.
var errNoAnswer = errors.New("the sandbox gave no whole answer")

// ask runs one of our scripts and returns its answer without the dot that ends it. A reader can be killed by another one
// that is ending what a run left behind, so it asks again, twice.
func ask(ctx context.Context, box Box, script *daytona.Text, within time.Duration, args ...any) (string, error) {
	q := daytona.Execute{Before: script, Command: arguments(args), Timeout: within + slack}
	var last daytona.Executed
	for range 3 {
		done, err := box.Execute(ctx, q)
		if err != nil {
			return "", err
		}
		if text, whole := strings.CutSuffix(strings.TrimRight(done.Output, "\n"), "\n."); whole {
			return text, nil
		}
		last = done
	}
	return "", fmt.Errorf("%w: exit code %d, %q", errNoAnswer, last.ExitCode, clip(last.Output))
}

// slack is what a script may take besides its waiting: another reader's turn, and the sweep.
const slack = 45 * time.Second

func clip(text string) string {
	const most = 200
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "")
}
