package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Install gives the path of the pinned claude binary below data, and installs it from npm when it is not
// there. progress is told what happens and how long it takes.
//
// The package's install script must run: without it, or without optional packages, npm leaves a placeholder that
// prints "claude native binary not installed" (measured on 2.1.330).
func Install(ctx context.Context, data string, progress io.Writer) (string, error) {
	dir := filepath.Join(data, "claude", ClaudeVersion)
	binary := filepath.Join(dir, "node_modules", ".bin", "claude")
	if works(ctx, binary) {
		return filepath.EvalSymlinks(binary)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("install claude: %w", err)
	}
	one := flock.New(dir + ".lock") // two processes that install at once would tear each other's files
	if err := one.Lock(); err != nil {
		return "", fmt.Errorf("install claude: %w", err)
	}
	defer one.Unlock()
	if !works(ctx, binary) {
		if err := npm(ctx, dir, progress); err != nil {
			return "", fmt.Errorf("install claude %s: %w", ClaudeVersion, err)
		}
		if !works(ctx, binary) {
			return "", fmt.Errorf("install claude %s: npm is done, but %s does not run", ClaudeVersion, binary)
		}
	}
	return filepath.EvalSymlinks(binary)
}

// works reports whether binary runs and is the pinned version.
func works(ctx context.Context, binary string) bool {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, "--version").Output()
	return err == nil && strings.HasPrefix(string(out), ClaudeVersion+" ")
}

func npm(ctx context.Context, dir string, progress io.Writer) error {
	if _, err := exec.LookPath("npm"); err != nil {
		return fmt.Errorf("npm is not on PATH: install Node.js, or set SANDPIPER_CLAUDE to a claude binary")
	}
	for name, content := range NPM() {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	began := time.Now()
	fmt.Fprintf(progress, "installing claude %s from npm into %s (once, about 365 MB on disk)\n", ClaudeVersion, dir)
	cmd := exec.CommandContext(ctx, "npm", "ci", "--include=optional", "--ignore-scripts=false", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := await(cmd, began, progress); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, bytes.TrimSpace(said.Bytes()))
	}
	fmt.Fprintf(progress, "installed claude %s in %.0f s\n", ClaudeVersion, time.Since(began).Seconds())
	return nil
}

// await runs cmd and says every few seconds that it is still at it: npm is silent without a terminal.
func await(cmd *exec.Cmd, began time.Time, progress io.Writer) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			fmt.Fprintf(progress, "  … npm is still at it (%.0f s)\n", time.Since(began).Seconds())
		}
	}
}
