package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sandpiper/internal/store"
)

func TestOpenLocksTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c#d%.db")
	s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Open(t.Context(), "sqlite:"+path, store.Options{})
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("second Open: %v, want ErrLocked naming process %d", err, os.Getpid())
	}
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), "sqlite:"+link, store.Options{}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("Open by another name: %v, want ErrLocked", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	again, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	if err != nil {
		t.Fatalf("Open after Close: %v", err)
	}
	if err := again.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	for _, name := range []string{path, path + "-wal", path + ".lock"} {
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v, want only its owner to read it", filepath.Base(name), st, err)
		}
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, url := range map[string]string{
		"another scheme":             "mysql://x",
		"no path":                    "sqlite:",
		"a folder that is not there": "sqlite:" + filepath.Join(t.TempDir(), "no", "a.db"),
		"a folder":                   "sqlite:" + t.TempDir(),
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := store.Open(t.Context(), url, store.Options{}); err == nil {
				_ = s.Close()
				t.Errorf("Open(%q) worked", url)
			}
		})
	}
}
