package daytona

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Toolbox is what can be done inside one sandbox.
type Toolbox struct {
	c    *Client
	base string
}

// Toolbox returns the inside of a sandbox, as its newest answer says where that is.
func (c *Client) Toolbox(sb Sandbox) *Toolbox {
	base := ""
	if sb.ToolboxURL != "" {
		base = strings.TrimRight(sb.ToolboxURL, "/") + "/" + url.PathEscape(sb.ID)
	}
	return &Toolbox{c: c, base: base}
}

var errNoToolbox = errors.New("the platform did not say where the sandbox's toolbox is")

func (t *Toolbox) do(ctx context.Context, q call, path string, out any) error {
	if t.base == "" {
		return errNoToolbox
	}
	q.url = t.base + path
	return t.c.do(ctx, q, out)
}

// Home returns the home folder of the sandbox's user.
func (t *Toolbox) Home(ctx context.Context) (string, error) {
	var answer struct {
		Dir string `json:"dir"`
	}
	err := t.do(ctx, call{method: http.MethodGet}, "/user-home-dir", &answer)
	return answer.Dir, err
}

// Session is a shell in a sandbox that keeps its folder and variables from one command to the next. Its commands
// run one after another.
type Session struct {
	ID       string    `json:"sessionId"`
	Commands []Command `json:"commands"` // in no order
}

// Command is one command of a session. ExitCode is nil while it runs; once it is set, the log is complete.
type Command struct {
	ID       string `json:"id"`
	Command  string `json:"command"`
	ExitCode *int   `json:"exitCode"`
}

// Exec is what a session's command gave. Its bytes are not exact: the daemon drops NULs, replaces invalid UTF-8,
// ends the last line and takes its own markers out.
type Exec struct {
	CmdID    string
	Stdout   string
	Stderr   string
	ExitCode int
}

func sessionPath(id string) string { return "/process/session/" + url.PathEscape(id) }

// CreateSession starts a session, or answers ErrConflict when it is there. Use letters, digits, _ and - for ids:
// they are folder names.
func (t *Toolbox) CreateSession(ctx context.Context, id string) error {
	body := map[string]string{"sessionId": id}
	return t.do(ctx, call{method: http.MethodPost, body: body}, "/process/session", nil)
}

// Session returns a session and its commands, or ErrNotFound.
func (t *Toolbox) Session(ctx context.Context, id string) (Session, error) {
	var s Session
	err := t.do(ctx, call{method: http.MethodGet}, sessionPath(id), &s)
	return s, err
}

// DeleteSession ends a session and everything that its shell's process tree holds. One that is gone is fine. It
// may take more than five seconds when a command ignores SIGTERM.
func (t *Toolbox) DeleteSession(ctx context.Context, id string) error {
	err := t.do(ctx, call{method: http.MethodDelete}, sessionPath(id), nil)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrSessionGone) {
		return nil
	}
	return err
}

// RenewSession makes a session usable: one whose shell has ended stays listed and blocks its name until it is
// deleted.
func (t *Toolbox) RenewSession(ctx context.Context, id string) error {
	if err := t.DeleteSession(ctx, id); err != nil {
		return fmt.Errorf("renew session %s: %w", id, err)
	}
	if err := t.CreateSession(ctx, id); err != nil && !errors.Is(err, ErrConflict) {
		return fmt.Errorf("renew session %s: %w", id, err)
	}
	return nil
}

// Exec runs a command in a session and waits for its end, as long as ctx allows. The command goes on when ctx ends
// first. ErrSessionGone means that it did not run.
func (t *Toolbox) Exec(ctx context.Context, session, command string) (Exec, error) {
	var a execAnswer
	q := call{method: http.MethodPost, body: execBody{Command: command}, within: longest}
	if err := t.do(ctx, q, sessionPath(session)+"/exec", &a); err != nil {
		return Exec{}, err
	}
	if a.ExitCode == nil {
		return Exec{CmdID: a.CmdID}, fmt.Errorf("exec in session %s: %w: no exit code", session, errAnswer)
	}
	e := Exec{CmdID: a.CmdID, ExitCode: *a.ExitCode}
	e.Stdout, e.Stderr = a.streams()
	return e, nil
}

// ExecAsync starts a command in a session and returns its id at once.
func (t *Toolbox) ExecAsync(ctx context.Context, session, command string) (cmdID string, err error) {
	var a execAnswer
	q := call{method: http.MethodPost, body: execBody{Command: command, Async: true}}
	err = t.do(ctx, q, sessionPath(session)+"/exec", &a)
	return a.CmdID, err
}

// Command returns one command of a session.
func (t *Toolbox) Command(ctx context.Context, session, cmdID string) (Command, error) {
	var c Command
	err := t.do(ctx, call{method: http.MethodGet}, sessionPath(session)+"/command/"+url.PathEscape(cmdID), &c)
	return c, err
}

// Logs returns what a command of a session has written so far.
func (t *Toolbox) Logs(ctx context.Context, session, cmdID string) (stdout, stderr string, err error) {
	var a execAnswer
	path := sessionPath(session) + "/command/" + url.PathEscape(cmdID) + "/logs"
	if err := t.do(ctx, call{method: http.MethodGet}, path, &a); err != nil {
		return "", "", err
	}
	stdout, stderr = a.streams()
	return stdout, stderr, nil
}

// longest is how long a synchronous command may take when its caller sets no deadline: the platform sets none.
const longest = 24 * time.Hour

// errAnswer marks an answer that arrived whole and makes no sense: asking again would not change it.
var errAnswer = errors.New("unexpected answer")

type execBody struct {
	Command string `json:"command"`
	Async   bool   `json:"runAsync"`
}

type execAnswer struct {
	CmdID    string  `json:"cmdId"`
	Output   *string `json:"output"`
	Stdout   *string `json:"stdout"`
	Stderr   *string `json:"stderr"`
	ExitCode *int    `json:"exitCode"`
}

// streams returns stdout and stderr. A daemon that does not know our version sends them mixed, with markers.
func (a execAnswer) streams() (stdout, stderr string) {
	if a.Stdout == nil && a.Stderr == nil && a.Output != nil {
		return demux(*a.Output)
	}
	if a.Stdout != nil {
		stdout = *a.Stdout
	}
	if a.Stderr != nil {
		stderr = *a.Stderr
	}
	return stdout, stderr
}

// demux splits mixed output: 01 01 01 says that stdout follows, 02 02 02 stderr. Without any marker all of it is
// stdout (daemons strip the markers for clients without a version).
func demux(mixed string) (stdout, stderr string) {
	const mark1, mark2 = "\x01\x01\x01", "\x02\x02\x02"
	if !strings.Contains(mixed, mark1) && !strings.Contains(mixed, mark2) {
		return mixed, ""
	}
	var out [2]strings.Builder
	now := -1 // bytes before the first marker belong to nobody
	for len(mixed) > 0 {
		switch {
		case strings.HasPrefix(mixed, mark1):
			now, mixed = 0, mixed[3:]
		case strings.HasPrefix(mixed, mark2):
			now, mixed = 1, mixed[3:]
		default:
			if now >= 0 {
				out[now].WriteByte(mixed[0])
			}
			mixed = mixed[1:]
		}
	}
	return out[0].String(), out[1].String()
}
