package run_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/run"
)

// aged makes a run's directory look as if it was begun so long ago.
func (b *box) aged(runID string, age time.Duration) {
	b.t.Helper()
	at := time.Now().Add(-age)
	if err := os.Chtimes(b.folder(runID), at, at); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) folder(runID string) string { return filepath.Join(b.home, ".sandpiper", "runs", runID) }

// TestOldRunDirectoriesGo: the markers stay, so a run without a directory is unknown, and never launched again.
func TestOldRunDirectoriesGo(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	var ids []string
	for _, name := range []string{"old", "young", "newest"} {
		l := b.started(b.launch("exit 0", func(l *run.Launch) { l.RunID = b.run(name) }))
		b.followed(l.RunID)
		ids = append(ids, l.RunID)
	}
	b.aged(ids[0], 49*time.Hour)
	b.aged(ids[1], 47*time.Hour)
	b.aged(ids[2], 49*time.Hour)
	n, err := run.Prune(t.Context(), b, 48*time.Hour)
	if err != nil || n != 1 {
		t.Errorf("Prune = %d, %v; want the old one", n, err)
	}
	for i, want := range []bool{false, true, true} {
		if _, err := os.Stat(b.folder(ids[i])); (err == nil) != want {
			t.Errorf("the directory of %s: %v, want it there: %v", ids[i], err, want)
		}
		if _, err := os.Stat(filepath.Join(b.home, ".sandpiper", "launched", ids[i])); err != nil {
			t.Errorf("the marker of %s: %v", ids[i], err)
		}
	}
	if got := b.looked(ids[0], job.Intended).Kind; got != run.Unknown {
		t.Errorf("a run whose directory went is %q, want unknown", got)
	}
	if n, err := run.Prune(t.Context(), b, 0); err != nil || n != 1 { // never less than a day
		t.Errorf("Prune of everything = %d, %v; want the second, which is older than a day", n, err)
	}
}

func TestNothingToPruneIsNoFault(t *testing.T) {
	if n, err := run.Prune(t.Context(), newBox(t), 48*time.Hour); err != nil || n != 0 {
		t.Errorf("Prune = %d, %v", n, err)
	}
}
