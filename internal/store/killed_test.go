package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"sandpiper/internal/job"
	"sandpiper/internal/pgtest"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// submitterOf, set to a path, makes this test binary a process that submits to the store there until it is killed.
const submitterOf = "STORE_TEST_SUBMITTER_OF"

func TestMain(m *testing.M) {
	if path := os.Getenv(submitterOf); path != "" {
		fmt.Fprintln(os.Stderr, submitForever(path))
		os.Exit(1)
	}
	goleak.VerifyTestMain(pgtest.Tests{M: m})
}

// submitForever says the id of each job when it is accepted, from eight submitters at once.
func submitForever(path string) error {
	s, err := store.Open(context.Background(), "sqlite:"+path, store.Options{})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	failed := make(chan error)
	for range 8 {
		go func() {
			for {
				j := storetest.New()
				if _, _, err := s.Submit(context.Background(), storetest.Ann, j, store.Key{}); err != nil {
					failed <- err
					return
				}
				mu.Lock()
				fmt.Println(j.ID)
				mu.Unlock()
			}
		}()
	}
	return <-failed
}

func TestWhatWasAcceptedSurvivesKill9(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), submitterOf+"="+path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var accepted []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if accepted = append(accepted, lines.Text()); len(accepted) == 100 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // killed
	if len(accepted) < 100 {
		t.Fatalf("%d accepted; %s", len(accepted), stderr.String())
	}
	s := storetest.OpenSQLite(t, path)              // the lock died with its holder
	for _, id := range accepted[:len(accepted)-1] { // the last line may be cut
		if j := storetest.Read(t, s, id); j.State != job.Queued || len(storetest.Events(t, s, id)) != 1 {
			t.Errorf("job %s after the kill: %+v", id, j)
		}
	}
}
