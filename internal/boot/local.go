package boot

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"

	"sandpiper/internal/localdaytona"
	"sandpiper/snapshot"
)

// openLocal opens the local Daytona, to be served on l, and gives the key that it asks for. Two servers of one
// directory would both believe that its sandboxes are theirs, so the other one is refused.
func (h *House) openLocal(l net.Listener) (key string, err error) {
	h.localAt = l
	h.closing(func() error { return ignoreClosed(l.Close()) })
	lock, err := lockSandboxes(h.cfg.Data)
	if err != nil {
		return "", err
	}
	h.closing(lock.release)
	if key = h.cfg.DaytonaKey.Reveal(); key == "" {
		if key, err = localKey(h.cfg.Data); err != nil {
			return "", err
		}
	}
	o := localdaytona.Options{
		Dir: localDir(h.cfg.Data), Key: key, Claude: h.claude, Isolation: h.cfg.Isolation,
		Snapshot: snapshot.Name(), Dockerfile: snapshot.Dockerfile, Workspace: workspace(), Log: h.log,
	}
	if h.localHabits != nil {
		h.localHabits(&o)
	}
	if h.local, err = localdaytona.New(o); err != nil {
		return "", err
	}
	return key, lock.servesAt(h.localURL())
}

// localURL is the base URL of the local Daytona's API.
func (h *House) localURL() string { return "http://" + h.localAt.Addr().String() + "/api" }

// localDir is where the local Daytona keeps its sandboxes.
func localDir(data string) string { return filepath.Join(data, "daytona") }

// keyFile is where the local Daytona keeps the key that it made.
func keyFile(data string) string { return filepath.Join(data, "daytona.key") }

// localKey is the key of the local Daytona: made once, kept where only we can read it.
func localKey(data string) (string, error) {
	if key, err := os.ReadFile(keyFile(data)); err == nil && len(bytes.TrimSpace(key)) > 0 {
		return string(bytes.TrimSpace(key)), nil
	}
	raw := make([]byte, 24)
	rand.Read(raw) // never fails (crypto/rand)
	key := "dtn_local_" + base64.RawURLEncoding.EncodeToString(raw)
	return key, os.WriteFile(keyFile(data), []byte(key), 0o600)
}

func workspace() []localdaytona.WorkspaceEntry {
	var entries []localdaytona.WorkspaceEntry
	for _, e := range snapshot.Manifest {
		entries = append(entries, localdaytona.WorkspaceEntry{Path: e.Path, Mode: e.Mode, Dir: e.Dir, Content: e.Content})
	}
	return entries
}
