package store

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// fileLock keeps a SQLite file for one process. The kernel gives it back when the process dies, however it dies.
type fileLock struct{ flock *flock.Flock }

func lockFile(path string) (*fileLock, error) {
	l := &fileLock{flock.New(path, flock.SetPermissions(0o600))}
	got, err := l.flock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !got {
		return nil, fmt.Errorf("%w: %s", ErrLocked, holder(path))
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		_ = l.flock.Unlock() // the error that matters is the one above
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return l, nil
}

// release gives the lock back. The file stays: removing it would let two processes lock two files of one name.
func (l *fileLock) release() error { return l.flock.Unlock() }

// holder names the process that wrote itself into the lock file.
func holder(path string) string {
	raw, err := os.ReadFile(path)
	pid := strings.TrimSpace(string(raw))
	if err != nil || pid == "" {
		return "another process has it"
	}
	return "process " + pid + " has it"
}
