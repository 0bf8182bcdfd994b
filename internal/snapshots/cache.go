package snapshots

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sandpiper/internal/daytona"
)

// Cached is the guide's cache file, and one field more. What is not known of a snapshot is empty.
type Cached struct {
	Name        string `json:"name"`
	ID          string `json:"id"`
	DockerHash  string `json:"dockerHash"` // of everything that went into it
	TS          int64  `json:"ts"`         // when it was written here; Unix milliseconds
	CreatedFrom string `json:"createdFrom"`

	Platform string `json:"platform,omitempty"` // where it is: Local, or the base URL of the API. "" in a file of somebody else's
}

// Local is the platform of a snapshot that the local Daytona has.
const Local = "local"

// CacheOf describes a snapshot for the cache file, as far as the platform tells what it was built from.
func CacheOf(s daytona.Snapshot, platform string, now time.Time) Cached {
	c := Cached{Name: s.Name, ID: s.ID, DockerHash: hashIn(s.Build.Dockerfile), TS: now.UnixMilli(), CreatedFrom: "elsewhere", Platform: platform}
	switch c.DockerHash {
	case "":
	case Own().Hash():
		c.CreatedFrom = ownFrom
	default:
		c.CreatedFrom = FromFile
	}
	return c
}

// CachePath is the cache file of a data directory.
func CachePath(data string) string { return filepath.Join(data, "snapshot-cache.json") }

// ReadCache reads the cache file of a data directory. Without one it is empty.
func ReadCache(data string) (c Cached, err error) {
	raw, err := os.ReadFile(CachePath(data))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil {
		return Cached{}, fmt.Errorf("read %s: %w", CachePath(data), err)
	}
	return c, nil
}

// Write replaces the cache file of a data directory, which it makes when it is absent, as a whole.
func (c Cached) Write(data string) error {
	raw, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	f, err := os.CreateTemp(data, ".keep-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", CachePath(data), err)
	}
	defer os.Remove(f.Name()) // fails after the rename, which is as it should be
	_, err = f.Write(append(raw, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), CachePath(data))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", CachePath(data), err)
	}
	return nil
}
