package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"sandpiper/internal/mortal"
)

// TestASecondSignalEndsUpAtOnce: with the first it waits for requests that are under way.
func TestASecondSignalEndsUpAtOnce(t *testing.T) {
	mortal.EndsAtOnce(t, func(t *testing.T) *exec.Cmd {
		return command(t, filepath.Join(t.TempDir(), "data"), []string{
			"ANTHROPIC_API_KEY=sk-none", "ANTHROPIC_BASE_URL=http://127.0.0.1:1", // no model of its own is left behind
		}, "up")
	})
}
