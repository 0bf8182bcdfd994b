package localdaytona

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// States of a snapshot, in the protocol's words.
const (
	pending  = "pending"
	building = "building"
	active   = "active"
	inactive = "inactive"
	removing = "removing"
)

// snapshot is a named snapshot. Every one of them is the same image, this machine's tools, because there is no other:
// one of another image ends in state error, as on the platform when an image cannot be pulled. One that was built keeps
// the files that new sandboxes had then. Protected by Server.mu.
type snapshot struct {
	ID         string           `json:"id"`
	Name       string           `json:"name"`
	Image      string           `json:"imageName"` // "" when it was described by a Dockerfile
	Dockerfile string           `json:"dockerfile,omitempty"`
	Entrypoint []string         `json:"entrypoint"`
	State      string           `json:"state"`
	Error      string           `json:"errorReason,omitempty"`
	Created    time.Time        `json:"createdAt"`
	Updated    time.Time        `json:"updatedAt"`
	LastUsed   time.Time        `json:"lastUsedAt,omitzero"`
	Files      []WorkspaceEntry `json:"files,omitempty"` // of one that was built
	Log        string           `json:"log,omitempty"`   // of its build

	general  bool          // the one that is always there
	followed chan struct{} // closed at the next change; nil when nobody follows the build
}

// image is the name of the one image: like all of the protocol it has a tag.
func (s *Server) image() string { return s.o.Snapshot + ":local" }

func (s *Server) snapshotsFile() string { return filepath.Join(s.o.Dir, "snapshots.json") }

// openSnapshots reads the named ones. The general one, which nobody can take away, is last.
func (s *Server) openSnapshots() error {
	b, err := os.ReadFile(s.snapshotsFile())
	if err == nil {
		err = json.Unmarshal(b, &s.named)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the snapshots: %w", err)
	}
	for _, n := range s.named {
		s.settleSnapshot(n) // one that was pending, or being built, when the server was killed
	}
	s.named = append(s.named, &snapshot{
		ID: snapshotID, Name: s.o.Snapshot, Image: s.image(), State: active, Created: s.began, Updated: s.began, general: true,
	})
	return nil
}

// saveSnapshots needs s.mu.
func (s *Server) saveSnapshots() error {
	b, err := json.Marshal(slices.DeleteFunc(slices.Clone(s.named), func(n *snapshot) bool { return n.general }))
	if err == nil {
		err = writeSynced(s.snapshotsFile()+".next", b)
	}
	if err == nil {
		err = os.Rename(s.snapshotsFile()+".next", s.snapshotsFile())
	}
	if err != nil {
		return fmt.Errorf("write the snapshots: %w", err)
	}
	return nil
}

// snapshotView is the protocol's SnapshotDto. Values may be null, but every key must be there.
func (s *Server) snapshotView(n *snapshot) map[string]any {
	v := map[string]any{
		"id": n.ID, "organizationId": organizationID, "general": n.general, "name": n.Name, "imageName": n.Image,
		"state": n.State, "size": nil, "entrypoint": nil, "cpu": 1, "gpu": 0, "mem": inGiB(s.limits.Memory), "disk": inGiB(s.limits.Disk), "errorReason": nil,
		"createdAt": stamp(n.Created), "updatedAt": stamp(n.Updated), "lastUsedAt": nil, "sourceSandboxId": nil,
		"regionIds": []string{regionID}, "sandboxClass": "container",
	}
	if n.Error != "" {
		v["errorReason"] = n.Error
	}
	if n.Entrypoint != nil {
		v["entrypoint"] = n.Entrypoint
	}
	if !n.LastUsed.IsZero() {
		v["lastUsedAt"] = stamp(n.LastUsed)
	}
	if n.Dockerfile != "" {
		v["buildInfo"] = map[string]any{"dockerfileContent": n.Dockerfile, "createdAt": stamp(n.Created), "updatedAt": stamp(n.Updated)}
	}
	return v
}

// findSnapshot needs s.mu. byName also takes names: only some calls do.
func (s *Server) findSnapshot(idOrName string, byName bool) *snapshot {
	i := slices.IndexFunc(s.named, func(n *snapshot) bool { return n.ID == idOrName || byName && n.Name == idOrName })
	if i < 0 {
		return nil
	}
	return s.named[i]
}

func noSnapshot(name string) error {
	return apiFault{http.StatusNotFound, fmt.Sprintf("Snapshot with name %s not found", name)}
}

// useSnapshot is the snapshot of a new sandbox; none asked for means the general one.
func (s *Server) useSnapshot(idOrName string) (name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.findSnapshot(cmp.Or(idOrName, snapshotID), true)
	switch {
	case n == nil:
		return "", apiFault{http.StatusBadRequest, fmt.Sprintf("Snapshot %s not found. Did you add it through the Daytona Dashboard?", idOrName)}
	case n.State != active:
		return "", apiFault{http.StatusBadRequest, fmt.Sprintf("Snapshot %s is %s", idOrName, n.State)}
	}
	n.LastUsed = time.Now() // on disk with the next change
	return n.Name, nil
}

func (s *Server) addSnapshot(n *snapshot) (view map[string]any, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.findSnapshot(n.Name, true) != nil {
		return nil, apiFault{http.StatusConflict, fmt.Sprintf("Snapshot with name %q already exists for this organization", n.Name)}
	}
	s.named = slices.Insert(s.named, len(s.named)-1, n)
	return s.snapshotView(n), s.saveSnapshots()
}

// changeSnapshot changes one and writes down what became of it. The general one is nobody's to change.
func (s *Server) changeSnapshot(id string, change func(*snapshot) error) (view map[string]any, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.findSnapshot(id, false)
	switch {
	case n == nil:
		return nil, noSnapshot(id)
	case n.general:
		return nil, apiFault{http.StatusForbidden, "Forbidden"}
	}
	if err := change(n); err != nil {
		return nil, err
	}
	n.Updated = time.Now()
	return s.snapshotView(n), s.saveSnapshots()
}

func (s *Server) removeSnapshot(n *snapshot) error {
	s.named = slices.DeleteFunc(s.named, func(other *snapshot) bool { return other == n })
	n.State = removing
	n.wake()
	return nil
}

func activateSnapshot(n *snapshot) error {
	if n.State != inactive {
		return apiFault{http.StatusBadRequest, fmt.Sprintf("Snapshot %s is already %s", n.Name, n.State)}
	}
	n.State = active
	return nil
}

func deactivateSnapshot(n *snapshot) error {
	if n.State != active {
		return apiFault{http.StatusBadRequest, fmt.Sprintf("Snapshot %s is not active", n.Name)}
	}
	n.State = inactive
	return nil
}
