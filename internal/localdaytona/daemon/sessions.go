package daemon

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// entrypoint is the reserved session of the sandbox's own long-running command.
const entrypoint = "entrypoint"

type sessionView struct {
	SessionID string        `json:"sessionId"`
	Commands  []commandView `json:"commands"`
}

type commandView struct {
	ID       string `json:"id"`
	Command  string `json:"command"`
	ExitCode *int   `json:"exitCode,omitempty"` // absent while it runs or waits
}

func viewOf(s *session) sessionView {
	v := sessionView{SessionID: s.id, Commands: []commandView{}}
	for _, c := range s.all() {
		v.Commands = append(v.Commands, commandViewOf(c))
	}
	return v
}

func commandViewOf(c *command) commandView {
	v := commandView{ID: c.id, Command: c.text()}
	if code, ok := c.ended(); ok {
		v.ExitCode = &code
	}
	return v
}

func (t *Toolbox) createSession(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		SessionID string `json:"sessionId"`
	}
	if err := decode(r, &q); err != nil {
		return err
	}
	switch id := q.SessionID; {
	case id == "":
		return fault{http.StatusBadRequest, "INVALID_REQUEST_BODY", "invalid request body: sessionId is required"}
	case id == entrypoint:
		return badRequest("session id 'entrypoint' is reserved")
	case len(id) > 250 || id == "." || id == ".." || strings.ContainsAny(id, "/\x00"):
		return badRequest("session id must be at most 250 bytes without a slash, and not a dot")
	}
	if err := t.open(q.SessionID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (t *Toolbox) open(id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.find(id) != nil {
		return errSessionExists
	}
	t.made++ // a folder's name of its own: ids may hold anything, and come again
	s, err := openSession(t.reaper, t.config, id, strconv.Itoa(t.made))
	if err != nil {
		return err
	}
	t.sessions = append(t.sessions, s)
	go s.run() // until the session is deleted, or with the daemon
	return nil
}

// find needs t.mu.
func (t *Toolbox) find(id string) *session {
	i := slices.IndexFunc(t.sessions, func(s *session) bool { return s.id == id })
	if i < 0 {
		return nil
	}
	return t.sessions[i]
}

func (t *Toolbox) session(r *http.Request) (*session, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.find(r.PathValue("session")); s != nil {
		return s, nil
	}
	return nil, errNoSession
}

func (t *Toolbox) listSessions(w http.ResponseWriter, _ *http.Request) error {
	t.mu.Lock()
	sessions := slices.Clone(t.sessions)
	t.mu.Unlock()
	views := make([]sessionView, 0, len(sessions))
	for _, s := range sessions {
		views = append(views, viewOf(s))
	}
	return reply(w, http.StatusOK, views)
}

func (t *Toolbox) getSession(w http.ResponseWriter, r *http.Request) error {
	if r.PathValue("session") == entrypoint {
		return reply(w, http.StatusOK, sessionView{entrypoint, []commandView{{ID: "entrypoint_command", Command: "sleep infinity"}}})
	}
	s, err := t.session(r)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, viewOf(s))
}

// sessionGrace is how long a session's processes have between TERM and KILL.
const sessionGrace = 5 * time.Second

func (t *Toolbox) deleteSession(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("session")
	if id == entrypoint {
		return badRequest("session id 'entrypoint' is reserved")
	}
	t.mu.Lock()
	s := t.find(id)
	t.sessions = slices.DeleteFunc(t.sessions, func(other *session) bool { return other == s })
	t.mu.Unlock()
	if s == nil {
		return errNoSession
	}
	s.delete(sessionGrace)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type execRequest struct {
	Command           string `json:"command"`
	RunAsync          bool   `json:"runAsync"`
	Async             bool   `json:"async"` // the old spelling
	SuppressInputEcho bool   `json:"suppressInputEcho"`
}

// execAnswer always carries every key.
type execAnswer struct {
	CmdID    string  `json:"cmdId"`
	Output   *string `json:"output"`
	Stdout   *string `json:"stdout"`
	Stderr   *string `json:"stderr"`
	ExitCode *int    `json:"exitCode"`
}

func (t *Toolbox) exec(w http.ResponseWriter, r *http.Request) error {
	var q execRequest
	if err := decode(r, &q); err != nil {
		return err
	}
	if strings.TrimSpace(q.Command) == "" {
		return bare(http.StatusBadRequest)
	}
	s, err := t.session(r)
	if err != nil {
		return replyExecFailure(w, "not found: session not found")
	}
	c, err := s.exec(uuid.NewString(), q.Command, q.RunAsync || q.Async, q.SuppressInputEcho)
	if err != nil {
		return err
	}
	if c.async {
		return reply(w, http.StatusAccepted, execAnswer{CmdID: c.id})
	}
	select {
	case <-c.done:
	case <-r.Context().Done():
		return nil // the command goes on; who comes back finds it in the session
	}
	switch {
	case c.cancelled:
		return replyExecFailure(w, "session cancelled")
	case c.exit == neverRan:
		return errSessionEnded
	}
	return replyExec(w, c, formOf(r))
}

// replyExecFailure is a failure that the platform answers with 500 and a body without time and path.
func replyExecFailure(w http.ResponseWriter, why string) error {
	return reply(w, http.StatusInternalServerError, faultBody{
		StatusCode: http.StatusInternalServerError, Message: "failed to execute command: " + why, Timestamp: "0001-01-01T00:00:00Z",
	})
}

func replyExec(w http.ResponseWriter, c *command, f form) error {
	out, err := c.log.read()
	if err != nil {
		return fmt.Errorf("read the log of command %s: %w", c.id, err)
	}
	answer := execAnswer{CmdID: c.id, ExitCode: &c.exit}
	if f == split {
		stdout, stderr := demux(out)
		answer.Stdout, answer.Stderr = new(string(stdout)), new(string(stderr))
	}
	if f == plain {
		out = unmark(out)
	}
	answer.Output = new(string(out))
	return reply(w, http.StatusOK, answer)
}

func (t *Toolbox) command(r *http.Request) (*command, error) {
	s, err := t.session(r)
	if err != nil {
		return nil, err
	}
	return s.command(r.PathValue("command"))
}

func (t *Toolbox) getCommand(w http.ResponseWriter, r *http.Request) error {
	c, err := t.command(r)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, commandViewOf(c))
}

func (t *Toolbox) input(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Data string `json:"data"`
	}
	if err := decode(r, &q); err != nil {
		return err
	}
	if q.Data == "" {
		return badRequest("data is required")
	}
	c, err := t.command(r)
	if err != nil {
		return err
	}
	err = c.input(r.Context(), q.Data)
	if code, ended := c.ended(); ended && errors.Is(err, errNotReading) {
		return fault{http.StatusGone, "GONE", fmt.Sprintf("gone: command has already completed with exit code %d", code)}
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
