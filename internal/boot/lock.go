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

// dataLock keeps a data directory to one up at a time. The file beside it says which process that is.
type dataLock struct {
	lock *flock.Flock
	who  kept
}

func lockData(dir string) (*dataLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	d := &dataLock{lock: flock.New(filepath.Join(dir, "up.lock")), who: kept{filepath.Join(dir, "up.json")}}
	ok, err := d.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if !ok {
		var other process
		_ = d.who.read(&other) // only for the text
		return nil, fmt.Errorf("%w (process %d): stop it with `sandpiper stop`, or set SANDPIPER_DATA to another directory", ErrInUse, other.PID)
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

// release gives the directory to the next one.
func (d *dataLock) release() error { return errors.Join(d.who.remove(), d.lock.Unlock()) }
