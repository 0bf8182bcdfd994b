package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// ErrInUse means that another up works in the same data directory.
var ErrInUse = errors.New("another `sandpiper up` uses this data directory")

// ErrServed means that another process serves the local Daytona of the same data directory.
var ErrServed = errors.New("the sandboxes of this data directory are served already")

// dataLock keeps a part of a data directory to one process at a time. The file beside it says which process that is.
type dataLock struct {
	lock *flock.Flock
	who  kept
}

// lockData keeps a data directory to one up.
func lockData(dir string) (*dataLock, error) {
	return lockPart(dir, "up", func(pid int) error {
		return fmt.Errorf("%w (process %d): stop it with `sandpiper stop`, or set SANDPIPER_DATA to another directory", ErrInUse, pid)
	})
}

// lockSandboxes keeps the sandboxes of a data directory to one server.
func lockSandboxes(dir string) (*dataLock, error) {
	return lockPart(dir, "daytona", func(pid int) error {
		return fmt.Errorf("%w (process %d): use that one by DAYTONA_API_URL and DAYTONA_API_KEY, or set SANDPIPER_DATA to another directory", ErrServed, pid)
	})
}

func lockPart(dir, part string, taken func(pid int) error) (*dataLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	d := &dataLock{lock: flock.New(filepath.Join(dir, part+".lock")), who: holder(dir, part)}
	ok, err := d.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if !ok {
		var other process
		_ = d.who.read(&other) // only for the text
		return nil, taken(other.PID)
	}
	me, err := identify(os.Getpid())
	if err == nil {
		err = d.who.write(me)
	}
	if err != nil {
		return nil, errors.Join(err, d.lock.Unlock())
	}
	return d, nil
}

// served is a process that serves a part, and where.
type served struct {
	process
	URL string `json:"url"`
}

// servesAt keeps where the part is served, for commands that look for it.
func (d *dataLock) servesAt(url string) error {
	me, err := identify(os.Getpid())
	if err != nil {
		return err
	}
	return d.who.write(served{me, url})
}

// holder is the file that names the process which holds a part.
func holder(dir, part string) kept { return kept{filepath.Join(dir, part+".json")} }

// release gives the part to the next one.
func (d *dataLock) release() error { return errors.Join(d.who.remove(), d.lock.Unlock()) }
