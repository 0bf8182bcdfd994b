package localdaytona

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Options of a Server. Dir, Key and Claude must be set.
type Options struct {
	Dir    string // state: one folder a sandbox; made when absent
	Key    string // the bearer key that every request needs
	Claude string // path of a claude binary or script; becomes `claude` in every sandbox

	Snapshot  string           // name of the one active snapshot; "" means "sandpiper"
	Workspace []WorkspaceEntry // what a new sandbox's home holds
	Isolation string           // "auto" (also ""): the best that works here; "none": the fallback
	TurnEvery time.Duration    // how often auto-stop looks; 0 means 10 s, as on the platform
	Log       *slog.Logger     // nil means slog.Default()
}

// WorkspaceEntry is a file or folder of a new sandbox's home.
type WorkspaceEntry struct {
	Path    string      // below /home/daytona, with slashes
	Mode    fs.FileMode // 0 means 0755 for a folder, 0644 for a file
	Dir     bool
	Content []byte // of a file
}

// Server is the control plane. Make it with New.
type Server struct {
	o   Options
	log *slog.Logger
}

// New opens the state directory, tries what isolation works on this machine, and finds the sandboxes and living
// daemons of earlier servers again.
func New(o Options) (*Server, error) {
	s := &Server{o: o, log: cmp.Or(o.Log, slog.Default())}
	return s, nil
}

// Handler serves the control plane under /api and the sandboxes' toolboxes under /toolbox.
func (s *Server) Handler() http.Handler { return http.NotFoundHandler() }

// Run serves ln and stops idle sandboxes (auto-stop) until ctx ends. It does not stop sandboxes then.
func (s *Server) Run(ctx context.Context, ln net.Listener) error { return errors.ErrUnsupported }

// Isolation says what was tried and works: "bubblewrap", "bubblewrap with a user namespace" or "none".
func (s *Server) Isolation() string { return "none" }

// StopIdle stops every started sandbox that is not busy, and waits until they have ended.
func (s *Server) StopIdle(ctx context.Context, busy func(sandboxID string) bool) error { return nil }

// StopAll stops every started sandbox.
func (s *Server) StopAll(ctx context.Context) error { return nil }

// StopAll ends every sandbox daemon of a state directory, without a server, and says how many there were.
func StopAll(dir string) (int, error) { return 0, nil }

// IsDaemon reports whether this process was started as a sandbox's daemon. It must be asked first in main, and in the
// TestMain of every test binary that starts a Server: if so, exit with DaemonMain's code.
func IsDaemon() bool { return false }

// DaemonMain is the daemon's whole life. See IsDaemon.
func DaemonMain() int { return 0 }
