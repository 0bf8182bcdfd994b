package storetest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"sandpiper/internal/store"
)

// Prepare puts a SQLite file with today's schema and nothing else at path. It is a copy of one that is made once: making
// the schema takes longer, with the race detector, than most tests do.
func Prepare(t testing.TB, path string) {
	t.Helper()
	data, err := prepared()
	if err != nil {
		t.Fatalf("prepare a database: %v", err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

var prepared = sync.OnceValues(func() (data []byte, err error) {
	dir, err := os.MkdirTemp("", "prepared")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "sandpiper.db")
	s, err := store.Open(context.Background(), "sqlite:"+path, store.Options{Migrate: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil { // what the log holds is in the file then
		return nil, err
	}
	return os.ReadFile(path)
})
