package snapshots

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sandpiper/internal/daytona"
	"sandpiper/internal/localdaytona"
	"sandpiper/snapshot"
)

const key = "dtn_builds_0123456789"

// site is a local Daytona whose builds wait for release, and a builder on it.
type site struct {
	Builder
	release string
	said    *shared
}

// shared is a buffer that may be read while it is written.
type shared struct {
	mu   sync.Mutex
	text bytes.Buffer
	line chan struct{} // gets something with each piece
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.line <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func open(t *testing.T, between func(http.Handler) http.Handler) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{release: filepath.Join(dir, "release"), said: &shared{line: make(chan struct{}, 1)}}
	claude := filepath.Join(dir, "claude")
	text := "#!/bin/sh\nwhile [ ! -e '" + s.release + "' ]; do sleep 0.05; done\necho 2.1\n"
	if err := os.WriteFile(claude, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	server, err := localdaytona.New(localdaytona.Options{
		Dir: filepath.Join(dir, "daytona"), Key: key, Claude: claude, Isolation: "none", Dockerfile: snapshot.Dockerfile,
		Workspace: []localdaytona.WorkspaceEntry{{Path: "workspace", Dir: true}}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	handler := server.Handler()
	if between != nil {
		handler = between(handler)
	}
	web := httptest.NewServer(handler)
	s.Builder = Builder{
		Platform: daytona.New(daytona.Options{URL: web.URL + "/api", Key: key}), Prefix: "a", Poll: 10 * time.Millisecond, Log: s.said,
	}
	t.Cleanup(func() {
		s.finish(t)
		s.Platform.Close()
		web.CloseClientConnections()
		web.Close()
		if err := server.StopAll(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// finish lets builds end.
func (s *site) finish(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(s.release, nil, 0o600); err != nil {
		t.Error(err)
	}
}

// built builds, and waits until that has ended.
func (s *site) built(t *testing.T, r Recipe, force bool) Built {
	t.Helper()
	b, err := s.Build(t.Context(), r, force)
	if err != nil || b.State != daytona.SnapshotActive || b.ID == "" {
		t.Fatalf("Build = %+v, %v; it said\n%s", b, err, s.said)
	}
	return b
}

func TestTheSameContentIsBuiltOnce(t *testing.T) {
	s := open(t, nil)
	s.finish(t)
	var states []string
	s.Told = func(n daytona.Snapshot) { states = append(states, n.State) }
	first := s.built(t, Own(), false)
	if _, ours := At("a", first.Name); !first.New || !ours || states[len(states)-1] != "active" {
		t.Errorf("the first is %+v, told %v", first, states)
	}
	if log := s.said.String(); !strings.Contains(log, "building "+first.Name) || !strings.HasSuffix(log, "claude --version: 2.1\n") {
		t.Errorf("the log is\n%s", log)
	}
	states = nil
	if again := s.built(t, Own(), false); again.New || again.ID != first.ID || states != nil {
		t.Errorf("again: %+v, told %v; want the first one", again, states)
	}
	forced := s.built(t, Own(), true)
	if !forced.New || forced.ID == first.ID {
		t.Errorf("by force: %+v", forced)
	}
	if newest := s.built(t, Own(), false); newest.ID != forced.ID {
		t.Errorf("of two the newest is %+v, want %+v", newest, forced)
	}
	larger := Own()
	larger.MemoryGiB = 2
	if other := s.built(t, larger, false); !other.New {
		t.Errorf("other content: %+v", other)
	}
	s.Prefix = "b"
	if theirs := s.built(t, Own(), false); !theirs.New || !strings.HasPrefix(theirs.Name, "b-") {
		t.Errorf("another prefix: %+v", theirs)
	}
}

// TestABuildThatWasLeftIsFollowed: who waits may go; the build does not.
func TestABuildThatWasLeftIsFollowed(t *testing.T) {
	s := open(t, nil)
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-s.said.line
		leave()
	}()
	left, err := s.Build(ctx, Own(), false)
	if !errors.Is(err, context.Canceled) || left.Name == "" || !left.New {
		t.Fatalf("Build = %+v, %v; want a name, and that it was left", left, err)
	}
	s.Told = func(n daytona.Snapshot) {
		if n.State == "building" {
			s.finish(t)
		}
	}
	if found := s.built(t, Own(), false); found.New || found.Name != left.Name {
		t.Errorf("followed %+v, want %s", found, left.Name)
	}
}

// TestALogThatBreaksOffIsReadOn: each byte once.
func TestALogThatBreaksOffIsReadOn(t *testing.T) {
	cuts := 0
	s := open(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/build-logs") && cuts < 3 {
				cuts++ // by one request after another
				r.URL.RawQuery = ""
				next.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	s.Told = func(n daytona.Snapshot) {
		if n.State == "building" {
			go func() { <-s.said.line; s.finish(t) }()
		}
	}
	s.built(t, Own(), false)
	if log := s.said.String(); strings.Count(log, "step 1/2") != 1 || !strings.HasSuffix(log, "claude --version: 2.1\n") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestABuildThatFailsSaysWhy(t *testing.T) {
	s := open(t, nil)
	b, err := s.Build(t.Context(), Recipe{Dockerfile: "FROM debian:12\nRUN false\n"}, false)
	if !errors.Is(err, daytona.ErrFailed) || !strings.Contains(err.Error(), "runs no Dockerfile") || b.Name == "" {
		t.Errorf("Build = %+v, %v", b, err)
	}
	if same, err := s.Same(t.Context(), Recipe{Dockerfile: "FROM debian:12\nRUN false\n"}); err != nil || same != nil {
		t.Errorf("a failed one serves as %+v, %v", same, err)
	}
}

// TestAPlatformThatTellsNoDockerfile: the cache file knows what it built.
func TestAPlatformThatTellsNoDockerfile(t *testing.T) {
	s := open(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				next.ServeHTTP(w, r)
				return
			}
			kept := httptest.NewRecorder()
			next.ServeHTTP(kept, r)
			w.WriteHeader(kept.Code)
			_, _ = w.Write(bytes.ReplaceAll(kept.Body.Bytes(), []byte(`"buildInfo"`), []byte(`"other"`)))
		})
	})
	s.Log = nil // it would be kept back until the end
	s.finish(t)
	first := s.built(t, Own(), false)
	if other := s.built(t, Own(), false); !other.New {
		t.Errorf("without a cache file it is %+v, want another one", other)
	}
	s.Known = Cached{Name: first.Name, ID: first.ID, DockerHash: Own().Hash()}
	if same := s.built(t, Own(), false); same.New || same.ID != first.ID {
		t.Errorf("with one it is %+v, want the first", same)
	}
}
