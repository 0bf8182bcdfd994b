package snapshots

import (
	"cmp"
	"fmt"
	"slices"

	"sandpiper/internal/daytona"
)

// Verdict says whether a snapshot of ours stays, and why.
type Verdict struct {
	Name  string `json:"name"`
	ID    string `json:"id"`
	State string `json:"state"`
	Keep  bool   `json:"keep"`
	Why   string `json:"why"`
}

// Judge says of every snapshot of ours, newest first, whether it stays: those that are in use, those that are being built,
// and the newest keep of those that sandboxes can be made from. Others than ours are not judged.
func Judge(all []daytona.Snapshot, prefix string, keep int, u Uses) []Verdict {
	var judged []Verdict
	ours := slices.DeleteFunc(slices.Clone(all), func(s daytona.Snapshot) bool {
		_, ok := At(prefix, s.Name)
		return !ok || s.General || s.State == daytona.SnapshotRemoving
	})
	slices.SortFunc(ours, func(x, y daytona.Snapshot) int { return cmp.Compare(y.Name, x.Name) })
	usable := 0
	for _, s := range ours {
		v := Verdict{Name: s.Name, ID: s.ID, State: s.State, Keep: true}
		if fit := s.State == daytona.SnapshotActive || s.State == daytona.SnapshotInactive; fit {
			usable++
		}
		switch n := u.sandboxes(s); {
		case u.current(s):
			v.Why = "it is the current one"
		case u.Named != "" && (u.Named == s.Name || u.Named == s.ID):
			v.Why = "SANDPIPER_SNAPSHOT names it"
		case n > 0:
			v.Why = fmt.Sprintf("sandboxes made from it: %d", n)
		case s.Failed():
			v.Keep, v.Why = false, "it failed"
		case !ended(s):
			v.Why = "it is being built"
		case usable <= keep:
			v.Why = fmt.Sprintf("one of the newest %d", keep)
		default:
			v.Keep, v.Why = false, "nothing uses it"
		}
		judged = append(judged, v)
	}
	return judged
}
