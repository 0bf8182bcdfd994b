package boot

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"sandpiper/internal/config"
	"sandpiper/internal/localdaytona"
	"sandpiper/internal/snapshots"
	"sandpiper/internal/store"
	"sandpiper/snapshot"
)

func TestTheCurrentSnapshot(t *testing.T) {
	for name, tc := range map[string]struct {
		configured, current, cached string
		local                       bool
		want, kept                  string // what sandboxes are made from; what SQL has then
	}{
		"nothing is known: the platform's default":     {want: "", kept: ""},
		"configured: it becomes the current one":       {configured: "new", current: "old", cached: "old", want: "new", kept: "new"},
		"the current one":                              {current: "old", cached: "older", want: "old", kept: "old"},
		"only the guide's cache file knows":            {cached: "guide", want: "guide", kept: "guide"},
		"an embedded Daytona has its own":              {current: "old", local: true, want: snapshot.Name(), kept: "old"},
		"an embedded Daytona, and one that it is told": {configured: "new", current: "old", local: true, want: "new", kept: "old"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "db"), store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			h := &House{log: slog.New(slog.DiscardHandler), cfg: config.Config{Data: t.TempDir(), Snapshot: tc.configured}}
			if tc.local {
				h.local = &localdaytona.Server{}
			}
			if tc.current != "" {
				err = s.SetSnapshot(t.Context(), tc.current)
			}
			if err == nil && tc.cached != "" {
				err = os.WriteFile(filepath.Join(h.cfg.Data, "snapshot-cache.json"), []byte(`{"name":"`+tc.cached+`","id":"ae79","dockerHash":"new","ts":1755162579704}`), 0o600)
			}
			if err == nil {
				err = h.chooseSnapshot(t.Context(), s)
			}
			if err != nil {
				t.Fatal(err)
			}
			if kept, err := s.Snapshot(t.Context()); err != nil || h.snapshot != tc.want || kept != tc.kept {
				t.Errorf("sandboxes are made from %q, SQL has %q, %v; want %q and %q", h.snapshot, kept, err, tc.want, tc.kept)
			}
			mirror, err := snapshots.ReadCache(h.cfg.Data)
			if err != nil || !tc.local && mirror.Name != tc.kept {
				t.Errorf("the cache file has %+v, %v; want %q", mirror, err, tc.kept)
			}
			if tc.cached == tc.kept && tc.kept != "" && (mirror.ID != "ae79" || mirror.DockerHash != "new") {
				t.Errorf("the cache file of the current one was written anew: %+v", mirror)
			}
		})
	}
}

// TestTheEmbeddedDaytonaHasACurrentOneToo, unless it has lost it.
func TestTheEmbeddedDaytonaHasACurrentOneToo(t *testing.T) {
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	local, err := localdaytona.New(localdaytona.Options{Dir: t.TempDir(), Key: "k", Snapshot: "mine", Isolation: "none", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := &House{log: slog.New(slog.DiscardHandler), cfg: config.Config{Data: t.TempDir()}, local: local}
	for current, want := range map[string]string{"mine": "mine", "lost": snapshot.Name()} {
		if err := s.SetLocalSnapshot(t.Context(), current); err != nil {
			t.Fatal(err)
		}
		if err := h.chooseSnapshot(t.Context(), s); err != nil || h.snapshot != want {
			t.Errorf("with %q sandboxes are made from %q, %v; want %q", current, h.snapshot, err, want)
		}
	}
}

// TestACacheFileOfAnotherPlatformIsLeftAlone: a build on the local Daytona writes the same file.
func TestACacheFileOfAnotherPlatformIsLeftAlone(t *testing.T) {
	for platform, want := range map[string]string{"": "kept", "https://here.example/api": "kept", snapshots.Local: "", "https://there.example/api": ""} {
		s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "db"), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		h := &House{log: slog.New(slog.DiscardHandler), cfg: config.Config{Data: t.TempDir()}, platformURL: "https://here.example/api"}
		err = snapshots.Cached{Name: "kept", Platform: platform}.Write(h.cfg.Data)
		if err == nil {
			err = h.chooseSnapshot(t.Context(), s)
		}
		if err != nil || h.snapshot != want {
			t.Errorf("a file about %q: chose %q, %v; want %q", platform, h.snapshot, err, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAMirrorThatCannotBeWritten costs nothing: SQL is the truth.
func TestAMirrorThatCannotBeWritten(t *testing.T) {
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := &House{log: slog.New(slog.DiscardHandler), cfg: config.Config{Data: filepath.Join(file, "data"), Snapshot: "new"}}
	if err := h.chooseSnapshot(t.Context(), s); err != nil || h.snapshot != "new" {
		t.Errorf("chose %q, %v", h.snapshot, err)
	}
}
