package localdaytona

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// settleSnapshot decides what becomes of a new one. One of the one image is there, one that the image's own Dockerfile
// describes is built, and any other fails.
func (s *Server) settleSnapshot(n *snapshot) {
	s.mu.Lock()
	state, image := n.State, cmp.Or(n.Image, baseOf(n.Dockerfile))
	s.mu.Unlock()
	switch {
	case state != pending && state != building:
	case s.builds(n):
		s.build(n)
	case image == s.image():
		s.endBuild(n, active, "")
	case n.Image == "" && s.o.Dockerfile != "":
		s.endBuild(n, failed, fmt.Sprintf("the local Daytona runs no Dockerfile: it builds %s's own, and FROM %s", s.o.Snapshot, s.image()))
	default:
		s.endBuild(n, failed, fmt.Sprintf("the local Daytona has no images but %s, and builds none", s.image()))
	}
}

// builds reports whether n is described by a Dockerfile whose image this machine has.
func (s *Server) builds(n *snapshot) bool {
	return n.Image == "" && (instructions(n.Dockerfile) == instructions(s.o.Dockerfile) && s.o.Dockerfile != "" || baseOf(n.Dockerfile) == s.image())
}

// baseOf is the image of a Dockerfile that does nothing but name it.
func baseOf(dockerfile string) string {
	image, ok := strings.CutPrefix(instructions(dockerfile), "FROM ")
	if !ok || strings.ContainsAny(image, " \n") {
		return ""
	}
	return image
}

// instructions are a Dockerfile without its comments and empty lines.
func instructions(dockerfile string) string {
	var lines []string
	for line := range strings.Lines(dockerfile) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// build keeps the files that new sandboxes have now for a snapshot, and tries the command that is to be in them. Nothing
// of a Dockerfile is run. Each step is told to those who follow.
func (s *Server) build(n *snapshot) {
	s.step(n, "building %s from what this machine has: no instruction of the Dockerfile is run", n.Name)
	for i, e := range s.o.Workspace {
		kind, size := "file", fmt.Sprintf("%d bytes", len(e.Content))
		if e.Dir {
			kind, size = "folder", ""
		}
		s.step(n, "step %d/%d: %s %s %s", i+1, len(s.o.Workspace)+1, kind, e.Path, size)
	}
	said, err := s.tryClaude()
	s.step(n, "step %[1]d/%[1]d: claude --version: %[2]s", len(s.o.Workspace)+1, said)
	if err != nil {
		s.endBuild(n, failed, fmt.Sprintf("claude --version: %v", err))
		return
	}
	s.mu.Lock()
	n.Files = s.o.Workspace
	s.mu.Unlock()
	s.endBuild(n, active, "")
}

// tryClaude asks the command of new sandboxes for its version.
func (s *Server) tryClaude() (said string, err error) {
	if s.o.Claude == "" {
		return "there is no such command here", nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.o.Claude, "--version")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.o.Dir, "DISABLE_AUTOUPDATER=1"} // none of the server's own
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// step adds a line to the log of a build.
func (s *Server) step(n *snapshot, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.State == removing {
		return
	}
	n.State = building
	n.Log += strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n"
	n.wake()
}

// endBuild writes down how a new snapshot ended.
func (s *Server) endBuild(n *snapshot, state, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.State == removing {
		return
	}
	n.State, n.Error, n.Updated = state, reason, time.Now()
	n.wake()
	if err := s.saveSnapshots(); err != nil {
		s.log.Error("snapshot not written", "snapshot", n.Name, "err", err) // the next server settles it again
	}
}

// wake tells those who follow the build. It needs s.mu.
func (n *snapshot) wake() {
	if n.followed != nil {
		close(n.followed)
		n.followed = nil
	}
}

// next is closed at the next change. It needs s.mu.
func (n *snapshot) next() <-chan struct{} {
	if n.followed == nil {
		n.followed = make(chan struct{})
	}
	return n.followed
}

// filesOf are what the home of a new sandbox of a snapshot holds.
func (s *Server) filesOf(name string) []WorkspaceEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.findSnapshot(name, true); n != nil && n.Files != nil {
		return n.Files
	}
	return s.o.Workspace
}

// Offers reports whether sandboxes can be made from the snapshot of a name.
func (s *Server) Offers(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.findSnapshot(name, true)
	return n != nil && n.State == active
}

// buildLogsURL says where the log of a build is.
func (s *Server) buildLogsURL(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if s.snapshotByID(id) == nil {
		return noSnapshot(id)
	}
	reply(w, http.StatusOK, map[string]string{"url": baseURL(r) + "/api/snapshots/" + id + "/build-logs"})
	return nil
}

// buildLogs is the log of a build from its beginning; with follow=true until the build has ended.
func (s *Server) buildLogs(w http.ResponseWriter, r *http.Request) error {
	n := s.snapshotByID(r.PathValue("id"))
	if n == nil {
		return noSnapshot(r.PathValue("id"))
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	follow := r.URL.Query().Get("follow") == "true"
	for sent := 0; ; {
		s.mu.Lock()
		text, state, changed := n.Log[sent:], n.State, n.next()
		s.mu.Unlock()
		if _, err := io.WriteString(w, text); err != nil {
			return nil // the client has gone
		}
		sent += len(text)
		if !follow || state != pending && state != building || http.NewResponseController(w).Flush() != nil {
			return nil
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return nil
		}
	}
}

func (s *Server) snapshotByID(id string) *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.findSnapshot(id, false)
}
