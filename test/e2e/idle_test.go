package e2e

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"sandpiper/internal/offline/scripted"
)

// TestAHouseDeletesIdleSandboxes: nothing else that a house does, and nobody who asks for it, deletes one that nobody uses.
func TestAHouseDeletesIdleSandboxes(t *testing.T) {
	model := scripted.New(t)
	vars := append(usual(t, model), "SANDPIPER_IDLE_MINUTES=1")
	first := openWith(t, model, vars)
	old, err := first.api.CreateSandbox(t.Context(), "user123")
	if err != nil {
		t.Fatal(err)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	_, data, _ := strings.Cut(vars[0], "=")
	age(t, filepath.Join(data, "sandpiper.db"))

	second := openWith(t, model, vars)
	eventually(t, "the sandbox is deleted", func() bool {
		left, err := second.api.Sandboxes(t.Context(), 10)
		return err == nil && len(left) == 0
	})
	if !strings.Contains(second.log.String(), "idle sandboxes are given up") {
		t.Errorf("%s is gone, and not because it was idle", old.SandboxID)
	}
}

// age makes all sandboxes of a database an hour older.
func age(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `UPDATE sandboxes SET created_at = created_at - 3600000, last_used_at = last_used_at - 3600000`); err != nil {
		t.Fatal(err)
	}
}
