package boot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sandpiper/internal/auth"
	"sandpiper/internal/config"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

func TestADeploymentSaysWhatIsInUse(t *testing.T) {
	cfg := config.Config{Data: t.TempDir(), DaytonaURL: "https://here.example/api"}
	if _, err := OpenDeployment(t.Context(), cfg); !errors.Is(err, ErrNoDeployment) {
		t.Errorf("without a file: %v, want ErrNoDeployment", err)
	}
	if made, err := os.ReadDir(cfg.Data); err != nil || len(made) > 0 {
		t.Errorf("asking made %v, %v", made, err)
	}
	s, err := store.Open(t.Context(), cfg.Database(), store.Options{Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	for id, snapshot := range map[string]string{"sbx_1": "old", "sbx_2": "old", "sbx_3": "new", "sbx_4": "gone", "sbx_5": ""} {
		sb := job.Sandbox{ID: id, UserID: "ann", Snapshot: snapshot, Fingerprint: "f"}
		if _, err := s.AddSandbox(t.Context(), auth.LocalOperator(), sb); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SandboxGone(t.Context(), "sbx_4", "deleted"); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDeployment(t.Context(), cfg); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "sandpiper stop") {
		t.Errorf("while a process has the file: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDeployment(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if used, err := d.InUse(t.Context()); err != nil || len(used) != 3 || used["old"] != 2 || used["new"] != 1 || used[""] != 1 {
		t.Errorf("InUse = %v, %v; want two of old, one of new, and one that nobody has described yet", used, err)
	}
	if err := d.Use(t.Context(), "new"); err != nil {
		t.Fatal(err)
	}
	local := &Deployment{d.store, true}
	here, err := local.Snapshot(t.Context())
	if there, again := d.Snapshot(t.Context()); err != nil || again != nil || there != "new" || here != "" {
		t.Errorf("on the platform %q, %v, on the embedded Daytona %q, %v; want new, and none", there, again, here, err)
	}
}

// TestAPlatformIsTheOneThatIsConfigured, and the key is in nothing that is shown.
func TestAPlatformIsTheOneThatIsConfigured(t *testing.T) {
	cfg, err := config.Load([]string{
		"DAYTONA_API_URL=https://here.example/api", "DAYTONA_API_KEY=dtn_hush", "SANDPIPER_DATA=" + filepath.Join(t.TempDir(), "none"),
	}, config.RoleSnapshot)
	if err != nil {
		t.Fatal(err)
	}
	p, err := OpenPlatform(t.Context(), cfg, Options{}, true)
	if err != nil {
		t.Fatal(err)
	}
	if p.Words() != "https://here.example/api" || p.Place() != p.URL {
		t.Errorf("it is %q, kept as %q", p.Words(), p.Place())
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(cfg.Data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a data directory was made for a platform elsewhere: %v", err)
	}
}
