package daemon

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
)

// The inherited files of a daemon. Both are handed over as open files, so that neither the socket's path nor an
// environment full of secrets is visible in the sandbox or in a command line.
const (
	ListenerFD = 3 // the listening unix socket
	ConfigFD   = 4 // a Config as JSON
)

// Config is what a daemon is told at its start.
type Config struct {
	ID        string   // the sandbox's id
	Env       []string // the whole environment of everything that runs in the sandbox, NAME=value
	Home      string   // as the sandbox sees it
	WorkDir   string   // where sessions and commands start, and what relative paths are relative to
	Alias     string   // without isolation: the home's name in the protocol (/home/daytona); paths below it are translated
	Sessions  string   // folder of the logs of commands; emptied at start
	Pipes     string   // folder of what only running commands need; in memory where that is possible, or the same
	Shell     string   // the shell of sessions and commands
	User      *User    // who runs commands and owns files; nil means the daemon's own user
	Contained bool     // PID 1 of its own PID namespace: its end is everybody's end
}

// User is a user id and group id.
type User struct{ UID, GID int }

func readConfig(f io.Reader) (Config, error) {
	var c Config
	if err := json.NewDecoder(f).Decode(&c); err != nil {
		return c, fmt.Errorf("read the daemon's configuration: %w", err)
	}
	return c, nil
}

// place turns a path of the protocol into one that exists here.
func (c Config) place(p string) string {
	if !path.IsAbs(p) {
		return path.Join(c.WorkDir, p)
	}
	p = path.Clean(p)
	if rest, ok := strings.CutPrefix(p, c.Alias); ok && c.Alias != "" && (rest == "" || rest[0] == '/') {
		return c.Home + rest
	}
	return p
}

// environ is the environment of one process: the sandbox's, with extra on top.
func (c Config) environ(extra map[string]string) []string {
	env := make([]string, 0, len(c.Env)+len(extra)+1)
	for _, e := range c.Env {
		name, _, _ := strings.Cut(e, "=")
		if _, replaced := extra[name]; !replaced {
			env = append(env, e)
		}
	}
	for name, value := range extra {
		env = append(env, name+"="+value)
	}
	return env
}
