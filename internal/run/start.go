package run

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
)

// ErrBroken means that the sandbox cannot hold a run: no workspace folder, no room, no bash. Nothing was started, and
// asking this sandbox again does not help.
var ErrBroken error = broken{}

type broken struct{}

func (broken) Error() string { return "the sandbox cannot start a run" }

// Lasting tells those who ask daytona.Temporary not to try again.
func (broken) Lasting() bool { return true }

// launchWithin bounds the launch's own command. It does not wait for the run.
const launchWithin = 30 * time.Second

// Start uploads what a run needs and starts it, unless another launch of the same run came first. It may be called
// by any number of workers, at once or again: the lock in the sandbox lets one through. ErrTaken means that a newer
// attempt has taken the run over, and that this launch started nothing, and ErrUnasked that it did not come to the
// launch. After another error nobody knows whether it was started: ask Look.
//
// The deadline needs no common clock. The uploaded prompt carries the sandbox's own time of its arrival, and that
// arrival was not later than the upload's answer here. So a launch that begins within (StartWithin − the time that
// the upload took) of that time, on the sandbox's clock, begins within StartWithin of this call, however long the
// launch request was held up on its way. What remains is a sandbox whose clock is set back in just that moment.
func Start(ctx context.Context, box Box, l Launch) (Started, error) {
	if err := l.check(); err != nil {
		return Started{}, fmt.Errorf("launch run %s: %w", l.RunID, err)
	}
	began := time.Now()
	folder := fmt.Sprintf("by-%d.%s", l.Attempt, nonce())
	if err := box.Upload(ctx, l.files(folder)...); errors.Is(err, daytona.ErrFull) {
		return l.noRoom(ctx, box, err)
	} else if err != nil {
		return Started{}, fmt.Errorf("upload run %s: %w: %w", l.RunID, ErrUnasked, err)
	}
	left := l.StartWithin - time.Since(began)
	if left <= 0 {
		return Started{TooLate: true}, nil
	}
	report, err := l.exec(ctx, box, l.command(folder, left))
	if err != nil {
		return Started{}, fmt.Errorf("launch run %s: %w", l.RunID, err)
	}
	return report, nil
}

// noRoom is for a disk that is full before the launch: it may be the run itself, launched before, that has filled it.
func (l Launch) noRoom(ctx context.Context, box Box, full error) (Started, error) {
	found, err := Look(ctx, box, l.RunID, l.Attempt, job.Intended)
	switch {
	case err != nil:
		return Started{}, errors.Join(full, err)
	case found.Kind == NeverLaunched:
		return Started{}, fmt.Errorf("launch run %s: %w: %w", l.RunID, ErrBroken, full)
	}
	return Started{Already: true}, nil
}

// nonce makes every call's folder its own: an upload that is repeated must not truncate a prompt that is being read,
// or a script that is being run.
func nonce() string { return strings.ToLower(rand.Text()[:8]) }

var (
	runIDForm = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
	envForm   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// bash keeps these for itself, or they are taken out of the environment.
	notEnv = regexp.MustCompile(`^(_|UID|EUID|PPID|SHELLOPTS|IFS|PWD|OLDPWD|SHLVL|SANDPIPER_RUN|BASH.*)$`)
)

// validID reports whether an id can be a folder's name and a word of a shell.
func validID(runID string) bool { return len(runID) <= 100 && runIDForm.MatchString(runID) }

func (l Launch) check() error {
	switch {
	case !validID(l.RunID):
		return errors.New("bad run id")
	case l.Session == "":
		return errors.New("no session")
	case len(l.Args) == 0 || l.Args[0] == "":
		return errors.New("no command")
	case l.StartWithin <= 0 || l.Timeout <= 0:
		return errors.New("no deadline")
	}
	for _, a := range l.Args {
		if strings.ContainsRune(a, 0) {
			return errors.New("NUL in an argument")
		}
	}
	for name, value := range l.Env {
		if !envForm.MatchString(name) || notEnv.MatchString(name) || strings.ContainsRune(value, 0) {
			return fmt.Errorf("bad environment variable %q", name)
		}
	}
	return nil
}

// files are the launcher's own copy of all that the run needs. The environment holds no secrets: the key is in the
// sandbox's environment already, and is inherited.
func (l Launch) files(folder string) []daytona.File {
	at := cmp.Or(l.Home, DefaultHome) + "/.sandpiper/runs/" + l.RunID + "/" + folder + "/"
	var env []string
	for _, name := range slices.Sorted(maps.Keys(l.Env)) {
		env = append(env, name+"="+l.Env[name])
	}
	return []daytona.File{
		{Path: at + "run.sh", Content: []byte(runScript())},
		{Path: at + "argv", Content: nulEnded(l.Args)},
		{Path: at + "env", Content: nulEnded(env)},
		{Path: at + "prompt", Content: l.Prompt}, // last: its time is the launch's
	}
}

func nulEnded(words []string) []byte {
	var b bytes.Buffer
	for _, w := range words {
		b.WriteString(w)
		b.WriteByte(0)
	}
	return b.Bytes()
}

// command is the launch as the session's shell reads it. It holds ids and numbers, and nothing that a user wrote. The
// mark is in the launcher's environment before its first instruction, so that nobody takes it for dead.
func (l Launch) command(folder string, within time.Duration) string {
	limit := l.Timeout + time.Minute
	return fmt.Sprintf(`SANDPIPER_RUN=%s setsid -w bash "$HOME/.sandpiper/runs/%[1]s/%s/run.sh" launch %[1]s %[2]s %d %d %d %d </dev/null`,
		l.RunID, folder, len(l.Prompt), within.Milliseconds(), int(limit.Seconds()+0.5), l.Attempt)
}

// exec runs the launch in the session, which is made (again) when it is gone.
func (l Launch) exec(ctx context.Context, box Box, command string) (Started, error) {
	ctx, cancel := context.WithTimeout(ctx, launchWithin)
	defer cancel()
	done, err := box.Exec(ctx, l.Session, command)
	if errors.Is(err, daytona.ErrSessionGone) || errors.Is(err, daytona.ErrNotFound) {
		if err := box.RenewSession(ctx, l.Session); err != nil {
			return Started{}, err
		}
		done, err = box.Exec(ctx, l.Session, command)
	}
	if err != nil {
		return Started{}, err
	}
	return readReport(done)
}

// readReport finds the launcher's one line.
func readReport(done daytona.Exec) (Started, error) {
	for line := range strings.Lines(done.Stdout) {
		word, ours := strings.CutPrefix(strings.TrimSpace(line), "sandpiper ")
		why, broken := strings.CutPrefix(word, "broken ")
		switch {
		case !ours:
		case word == "started":
			return Started{}, nil
		case word == "already":
			return Started{Already: true}, nil
		case word == "late":
			return Started{TooLate: true}, nil
		case word == "lost":
			return Started{}, ErrTaken
		case broken:
			return Started{}, fmt.Errorf("%w: %s", ErrBroken, why)
		}
	}
	if done.ExitCode == 127 || done.ExitCode == 126 {
		return Started{}, fmt.Errorf("%w: %s", ErrBroken, clip(done.Stderr))
	}
	return Started{}, fmt.Errorf("%w: exit code %d, %q", errNoAnswer, done.ExitCode, clip(done.Stdout+done.Stderr))
}
