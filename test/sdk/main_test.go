package sdk

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"go.uber.org/goleak"

	"sandpiper/internal/localdaytona"
)

// modules is the node_modules folder with the SDKs.
var modules string

func TestMain(m *testing.M) {
	if localdaytona.IsDaemon() {
		os.Exit(localdaytona.DaemonMain())
	}
	var err error
	if modules, err = install(); err != nil {
		fmt.Fprintln(os.Stderr, "install the SDKs:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		code = 1
	}
	os.Exit(code)
}

// ours are the files that say what is installed.
var ours = []string{"package.json", "package-lock.json", ".npmrc"}

// install puts the SDKs, exactly as the lock file has them, below the repository's .sandpiper, once for each lock.
func install() (string, error) {
	sum := sha256.New()
	for _, name := range ours {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%d:%s", len(text), text)
	}
	dir, err := filepath.Abs(filepath.Join("..", "..", ".sandpiper", "sdk", hex.EncodeToString(sum.Sum(nil))[:12]))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	one := flock.New(dir + ".lock") // two runs that install at once would tear each other's files
	if err := one.Lock(); err != nil {
		return "", err
	}
	defer one.Unlock()
	complete := filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return filepath.Join(dir, "node_modules"), nil
	}
	if err := npmCI(dir); err != nil {
		return "", err
	}
	return filepath.Join(dir, "node_modules"), os.WriteFile(complete, nil, 0o644)
}

func npmCI(dir string) error {
	for _, name := range ours {
		text, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	began := time.Now()
	fmt.Fprintf(os.Stderr, "installing the Daytona SDKs from npm into %s (once, about 210 MB on disk)\n", dir)
	cmd := exec.Command("npm", "ci", "--loglevel=error")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("npm ci: %w", err), errors.New(string(out)))
	}
	fmt.Fprintf(os.Stderr, "installed the Daytona SDKs in %.0f s\n", time.Since(began).Seconds())
	return nil
}
