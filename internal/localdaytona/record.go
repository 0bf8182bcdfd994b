package localdaytona

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// States of a sandbox, in the protocol's words.
const (
	creating   = "creating"
	started    = "started"
	starting   = "starting"
	stopped    = "stopped"
	stopping   = "stopping"
	destroying = "destroying"
	destroyed  = "destroyed"
	failed     = "error"
)

// record is what is known of a sandbox, as it lies on disk (record.json, mode 0600, in a folder of mode 0700). It
// holds the environment, secrets included: a stopped sandbox is started again with it. Protected by Server.mu.
type record struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Snapshot  string            `json:"snapshot"`
	User      string            `json:"user"`
	Target    string            `json:"target"`
	Env       map[string]string `json:"env"`
	Labels    map[string]string `json:"labels"`
	Public    bool              `json:"public"`
	BlockNet  bool              `json:"networkBlockAll"` // told, not enforced: the network is the machine's
	AllowList string            `json:"networkAllowList,omitempty"`

	AutoStop    int `json:"autoStopInterval"`    // minutes; 0 never
	AutoArchive int `json:"autoArchiveInterval"` // told, never done
	AutoDelete  int `json:"autoDeleteInterval"`  // minutes after a stop; 0 at once; negative never

	State    string    `json:"state"`
	Error    string    `json:"errorReason,omitempty"`
	Created  time.Time `json:"createdAt"`
	Updated  time.Time `json:"updatedAt"` // of the last change of state
	Activity time.Time `json:"lastActivityAt"`

	Daemon    identity `json:"daemon"`            // of the last start; may be dead
	Contained bool     `json:"contained"`         // whether that daemon is PID 1 of its own world
	Groups    []string `json:"cgroups,omitempty"` // folders of its cgroups

	dir   string
	child int // pid of our own child to be waited for; 0 when an earlier server started it
	open  int // toolbox requests going on

	// Of Turn alone, which one goroutine calls.
	full     int       // turns in a row that found no room for another process
	nextSize time.Time // when its files are counted again
}

// changing reports whether a change of state is under way: others are refused meanwhile.
func (r *record) changing() bool {
	switch r.State {
	case creating, starting, stopping, destroying:
		return true
	}
	return false
}

// ephemeral sandboxes are deleted instead of stopped.
func (r *record) ephemeral() bool { return r.AutoDelete == 0 }

const recordName = "record.json"

// save writes the record so that a reader, or the next server after a kill -9, finds the old or the new one whole.
func (r *record) save() error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the record of %s: %w", r.ID, err)
	}
	next := filepath.Join(r.dir, recordName+".next")
	if err := writeSynced(next, b); err != nil {
		return fmt.Errorf("write the record of %s: %w", r.ID, err)
	}
	if err := os.Rename(next, filepath.Join(r.dir, recordName)); err != nil {
		return fmt.Errorf("write the record of %s: %w", r.ID, err)
	}
	return nil
}

// writeSynced writes a private file and does not return before it is on disk: a rename may reach the disk before the
// bytes do.
func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func readRecord(dir string) (*record, error) {
	b, err := os.ReadFile(filepath.Join(dir, recordName))
	if err != nil {
		return nil, err
	}
	r := &record{dir: dir}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, recordName), err)
	}
	return r, nil
}

// readRecords reads every sandbox of a state directory. A folder without a record is a creation that never came to
// be, or a deletion that did not end: it is removed.
func readRecords(dir string) ([]*record, error) {
	folders, err := os.ReadDir(sandboxesDir(dir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the sandboxes: %w", err)
	}
	var found []*record
	for _, f := range folders {
		path := filepath.Join(sandboxesDir(dir), f.Name())
		r, err := readRecord(path)
		if errors.Is(err, os.ErrNotExist) {
			err = removeTree(path)
		}
		if err != nil {
			return nil, err
		}
		if r != nil {
			found = append(found, r)
		}
	}
	return found, nil
}

func sandboxesDir(dir string) string { return filepath.Join(dir, "sandboxes") }

// removeTree removes a folder even where a prompt took away the right to enter parts of it.
func removeTree(path string) error {
	if os.RemoveAll(path) == nil {
		return nil
	}
	_ = filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700) // before it is entered
		}
		return nil
	})
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}
