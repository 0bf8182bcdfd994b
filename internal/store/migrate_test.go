package store

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

func TestANewerSchemaIsRefused(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "a.db")
	s, err := Open(t.Context(), url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.write(t.Context(), nil, func(ctx context.Context, t *tx) error {
		return t.must(ctx, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), url, Options{}); err == nil || !strings.Contains(err.Error(), "version 999") {
		t.Errorf("Open: %v, want it to name the version", err)
		if err == nil {
			_ = s.Close()
		}
	}
}
