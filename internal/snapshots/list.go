package snapshots

import (
	"cmp"
	"context"
	"slices"
	"time"

	"sandpiper/internal/daytona"
)

// Uses say who needs which snapshot, by its name or id.
type Uses struct {
	Current string         // of the deployment; "" is none
	Named   string         // what the configuration names; "" is none
	Rows    map[string]int // sandboxes of the deployment that are not gone, also those that are yet to be made
	Made    map[string]int // sandboxes on the platform, whoever they belong to
}

// Made counts the sandboxes on a platform by the snapshot that they were made from.
func Made(ctx context.Context, platform *daytona.Client) (map[string]int, error) {
	all, err := platform.List(ctx, nil)
	if err != nil {
		return nil, err
	}
	made := map[string]int{}
	for _, sb := range all {
		if sb.State != daytona.StateDestroyed && sb.State != daytona.StateDestroying {
			made[sb.Snapshot]++
		}
	}
	return made, nil
}

// sandboxes is how many sandboxes need a snapshot: those on the platform, or the rows where these are more.
func (u Uses) sandboxes(s daytona.Snapshot) int {
	return max(u.Made[s.Name]+u.Made[s.ID], u.Rows[s.Name]+u.Rows[s.ID])
}

func (u Uses) current(s daytona.Snapshot) bool {
	return u.Current != "" && (u.Current == s.Name || u.Current == s.ID)
}

// Listed is one snapshot as operators see it.
type Listed struct {
	Name       string    `json:"name"`
	ID         string    `json:"id"`
	State      string    `json:"state"`
	Reason     string    `json:"errorReason,omitempty"`
	Ours       bool      `json:"ours"`    // by its name
	General    bool      `json:"general"` // the platform's
	Current    bool      `json:"current"`
	UpToDate   bool      `json:"upToDate"` // its content is this program's own
	Sandboxes  int       `json:"sandboxes"`
	SizeGB     float64   `json:"sizeGB,omitempty"`
	DockerHash string    `json:"dockerHash,omitempty"`
	CreatedAt  time.Time `json:"createdAt,omitzero"`
	LastUsedAt time.Time `json:"lastUsedAt,omitzero"`
}

// List describes snapshots, newest first, those of the platform last.
func List(all []daytona.Snapshot, prefix string, u Uses) []Listed {
	own := Own().Hash()
	list := make([]Listed, len(all))
	for i, s := range all {
		_, ours := At(prefix, s.Name)
		hash := hashIn(s.Build.Dockerfile)
		list[i] = Listed{
			Name: s.Name, ID: s.ID, State: s.State, Reason: s.ErrorReason, Ours: ours && !s.General, General: s.General,
			Current: u.current(s), UpToDate: hash == own, Sandboxes: u.sandboxes(s), SizeGB: s.SizeGB, DockerHash: hash,
			CreatedAt: s.CreatedAt, LastUsedAt: s.LastUsedAt,
		}
	}
	slices.SortStableFunc(list, func(a, b Listed) int {
		if a.General != b.General {
			return cmp.Compare(last(a), last(b))
		}
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.Name, a.Name))
	})
	return list
}

func last(l Listed) int {
	if l.General {
		return 1
	}
	return 0
}
