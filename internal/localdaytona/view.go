package localdaytona

import (
	"net/http"

	"sandpiper/internal/localdaytona/daemon"
)

// The one organisation, region and runner of a local Daytona.
const (
	organizationID = "00000000-0000-4000-8000-000000000001"
	regionID       = "local"
	runnerID       = "00000000-0000-4000-8000-000000000002"
	snapshotID     = "00000000-0000-4000-8000-000000000003"
)

// view is the protocol's Sandbox. Official clients refuse one without id, organizationId, name, user, env, labels,
// public, networkBlockAll, target, cpu, gpu, memory, disk and toolboxProxyUrl.
type view struct {
	ID              string            `json:"id"`
	OrganizationID  string            `json:"organizationId"`
	Name            string            `json:"name"`
	Target          string            `json:"target"`
	Snapshot        string            `json:"snapshot"`
	User            string            `json:"user"`
	Env             map[string]string `json:"env,omitzero"` // not in lists
	CPU             int               `json:"cpu"`
	GPU             int               `json:"gpu"`
	Memory          int               `json:"memory"` // GiB
	Disk            int               `json:"disk"`   // GiB
	Public          bool              `json:"public"`
	NetworkBlockAll bool              `json:"networkBlockAll"`
	NetworkAllow    string            `json:"networkAllowList,omitempty"`
	Labels          map[string]string `json:"labels"`
	Volumes         []struct{}        `json:"volumes,omitzero"` // not in lists
	State           string            `json:"state"`
	DesiredState    string            `json:"desiredState"`
	ErrorReason     *string           `json:"errorReason"`
	Recoverable     bool              `json:"recoverable"`
	BackupState     string            `json:"backupState"`
	AutoStop        int               `json:"autoStopInterval"`
	AutoArchive     int               `json:"autoArchiveInterval"`
	AutoDelete      int               `json:"autoDeleteInterval"`
	SandboxClass    string            `json:"sandboxClass"`
	CreatedAt       string            `json:"createdAt"`
	UpdatedAt       string            `json:"updatedAt"`
	LastActivityAt  string            `json:"lastActivityAt"`
	DaemonVersion   string            `json:"daemonVersion"`
	RunnerID        string            `json:"runnerId"`
	ToolboxProxyURL string            `json:"toolboxProxyUrl"`
}

// viewOf needs s.mu. Memory and disk are the limits; 0 says that there is none.
func (s *Server) viewOf(r *record, q *http.Request) view {
	v := view{
		ID: r.ID, OrganizationID: organizationID, Name: r.Name, Target: r.Target, Snapshot: r.Snapshot, User: r.User,
		Env: r.Env, CPU: 1, Memory: inGiB(s.limits.Memory), Disk: inGiB(s.limits.Disk), Public: r.Public, NetworkBlockAll: r.BlockNet, NetworkAllow: r.AllowList,
		Labels: r.Labels, Volumes: []struct{}{}, State: r.State, DesiredState: wish(r.State), BackupState: "None",
		AutoStop: r.AutoStop, AutoArchive: r.AutoArchive, AutoDelete: r.AutoDelete, SandboxClass: "container",
		CreatedAt: stamp(r.Created), UpdatedAt: stamp(r.Updated), LastActivityAt: stamp(r.Activity),
		DaemonVersion: daemon.Version, RunnerID: runnerID, ToolboxProxyURL: baseURL(q) + "/toolbox",
	}
	if r.Error != "" {
		v.ErrorReason = &r.Error
	}
	return v
}

func (s *Server) listViewOf(r *record, q *http.Request) view {
	v := s.viewOf(r, q)
	v.Env, v.Volumes = nil, nil
	return v
}

func wish(state string) string {
	switch state {
	case stopped, stopping:
		return stopped
	case destroying:
		return destroyed
	default:
		return started
	}
}

// baseURL is the address by which the client reached us.
func baseURL(q *http.Request) string {
	scheme := "http"
	if q.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + q.Host
}
