package main

import (
	"os"
	"os/exec"
	"testing"

	"sandpiper/internal/mortal"
)

// TestASecondSignalEndsItAtOnce, at a database that is away and has to be waited for.
func TestASecondSignalEndsItAtOnce(t *testing.T) {
	mortal.EndsAtOnce(t, func(t *testing.T) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{
			mainVar + "=1", "SANDPIPER_ADDR=127.0.0.1:0", "SANDPIPER_DATA=" + t.TempDir(), "DATABASE_URL=postgres://nobody@127.0.0.1:1/none",
			"REDIS_URL=redis://127.0.0.1:1", "DAYTONA_API_KEY=dtn_x", "DAYTONA_API_URL=http://127.0.0.1:1/api",
			"ANTHROPIC_API_KEY=sk-none", "ANTHROPIC_BASE_URL=http://127.0.0.1:1",
		}
		return cmd
	})
}
