package localdaytona

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Options of a Server. Dir and Key must be set.
type Options struct {
	Dir    string // state: one folder a sandbox; made when absent
	Key    string // the bearer key that every request needs
	Claude string // path of a claude binary or script, which becomes `claude` in every sandbox; "" means none there
	Daemon string // path of a program that does what IsDaemon says, for the sandboxes' daemons; "" means this program

	Snapshot   string           // name of the one snapshot that is always there; "" means "sandpiper"
	Dockerfile string           // of its image, for those who build it; "" means that there is none
	Workspace  []WorkspaceEntry // what a new sandbox's home holds
	Isolation  string           // "auto" (also ""): the best that works here; else one of what Isolation answers, and no other
	Limits     Limits           // of each sandbox
	TurnEvery  time.Duration    // how often auto-stop and the limits are looked at; 0 means 10 s, as on the platform
	Log        *slog.Logger     // nil means slog.Default()
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
	o         Options
	log       *slog.Logger
	key       [sha256.Size]byte // hashed, so that a comparison takes the same time for every length
	isolation isolation
	limits    Limits
	groups    cgroups
	transport *http.Transport // to the daemons; the host of a request is the sandbox's id
	began     time.Time

	mu        sync.Mutex
	sandboxes map[string]*record // id → record
	named     []*snapshot        // the general one is last
	changes   int                // of state that answered before they ended
	settled   *sync.Cond         // told when changes is 0 again
}

// New opens the state directory, tries what isolation works on this machine, and finds the sandboxes and living
// daemons of earlier servers again. A change of state that an earlier server did not end is ended here.
func New(o Options) (*Server, error) {
	if o.Dir == "" || o.Key == "" {
		return nil, errors.New("open the local Daytona: a directory and a key are needed")
	}
	o.Snapshot = cmp.Or(o.Snapshot, "sandpiper")
	o.TurnEvery = cmp.Or(o.TurnEvery, 10*time.Second)
	s := &Server{o: o, log: cmp.Or(o.Log, slog.Default()), key: sha256.Sum256([]byte(o.Key)), sandboxes: map[string]*record{}, began: time.Now()}
	s.settled = sync.NewCond(&s.mu)
	if err := s.openFolders(); err != nil {
		return nil, err
	}
	if err := s.chooseIsolation(); err != nil {
		return nil, err
	}
	if err := s.openSnapshots(); err != nil {
		return nil, err
	}
	s.limits, s.groups = o.Limits.orDefault(), findCgroups()
	s.log.Info("local Daytona limits sandboxes", "limits", s.Limits())
	s.transport = s.daemonTransport()
	if err := s.findAgain(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) openFolders() (err error) {
	if s.o.Dir, err = filepath.Abs(s.o.Dir); err != nil {
		return fmt.Errorf("open the local Daytona: %w", err)
	}
	if err := os.MkdirAll(sandboxesDir(s.o.Dir), 0o700); err != nil {
		return fmt.Errorf("open the local Daytona: %w", err)
	}
	if err := os.Chmod(s.o.Dir, 0o700); err != nil {
		return fmt.Errorf("open the local Daytona: %w", err)
	}
	if s.o.Claude == "" {
		return nil
	}
	if s.o.Claude, err = filepath.Abs(s.o.Claude); err == nil {
		s.o.Claude, err = filepath.EvalSymlinks(s.o.Claude) // npm's is a link; only the real file can be bound
	}
	if err != nil {
		return fmt.Errorf("find the claude binary: %w", err)
	}
	return nil
}

func (s *Server) chooseIsolation() error {
	program := s.o.Daemon
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return fmt.Errorf("open the local Daytona: find this program: %w", err)
		}
	}
	s.isolation = isolation{name: withoutIsolate, program: program}
	want := cmp.Or(s.o.Isolation, "auto")
	if want != withoutIsolate {
		var why string
		s.isolation, why = chooseIsolation(program, s.o.Dir, s.o.Claude)
		if want != "auto" && want != s.isolation.name {
			return fmt.Errorf("open the local Daytona: isolation %q does not work here: %s", want, cmp.Or(why, s.isolation.name+" does"))
		}
		if why != "" {
			s.log.Warn("local sandboxes are not isolated: what runs in them can do what this user can do", "why", why)
		}
	}
	s.log.Info("local Daytona isolates sandboxes", "isolation", s.isolation.name)
	return nil
}

// Isolation says what was tried and works: "bubblewrap", "bubblewrap with a user namespace" or "none".
func (s *Server) Isolation() string { return s.isolation.name }

// Run serves ln and stops idle sandboxes (auto-stop) until ctx ends. It does not stop sandboxes then: their daemons
// live on, and the next server finds them.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	defer s.settle()
	tick := time.NewTicker(s.o.TurnEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-served:
			return fmt.Errorf("serve the local Daytona: %w", err)
		case <-ctx.Done():
			_ = server.Close() // requests of hours are normal here; their commands go on without them
			<-served
			return nil
		case now := <-tick.C:
			s.Turn(ctx, now)
		}
	}
}

// behind does a change of state behind its answer.
func (s *Server) behind(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	go func() {
		change()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.changes--; s.changes == 0 {
			s.settled.Broadcast()
		}
	}()
}

// wait returns when no change of state is under way. (A WaitGroup must not grow from zero while somebody waits.)
func (s *Server) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.changes > 0 {
		s.settled.Wait()
	}
}

// settle waits for changes of state that are under way, and lets go of the daemons' connections.
func (s *Server) settle() {
	s.wait()
	s.transport.CloseIdleConnections()
}
