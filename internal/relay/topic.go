package relay

import (
	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// Topic is what somebody waits for. It only decides who is woken: what they may see is decided where they look.
type Topic struct {
	kind       byte
	tenant, id string
}

// EventsOf is woken by every event of a job.
func EventsOf(jobID string) Topic { return Topic{kind: 'j', id: jobID} }

// EndOf is woken when a job has ended.
func EndOf(jobID string) Topic { return Topic{kind: 'e', id: jobID} }

// SandboxOf is woken when a sandbox has changed.
func SandboxOf(sandboxID string) Topic { return Topic{kind: 's', id: sandboxID} }

// topicOf is the narrowest topic that misses nothing of a stream.
func topicOf(c auth.Caller, sc store.Scope) Topic {
	switch {
	case sc.JobID != "":
		return EventsOf(sc.JobID)
	case sc.BatchID != "":
		return Topic{kind: 'b', id: sc.BatchID}
	case c.UserID != "":
		return Topic{kind: 'u', tenant: c.Tenant, id: c.UserID}
	case sc.UserID != "":
		return Topic{kind: 'u', tenant: c.Tenant, id: sc.UserID}
	}
	return Topic{kind: 't', tenant: c.Tenant}
}

// topicsOf are the topics that n is about.
func topicsOf(n job.News) []Topic {
	var ts []Topic
	if n.Sandbox != "" {
		ts = append(ts, SandboxOf(n.Sandbox))
	}
	if n.JobID == "" {
		return ts
	}
	ts = append(ts, EventsOf(n.JobID), Topic{kind: 'u', tenant: n.Tenant, id: n.UserID}, Topic{kind: 't', tenant: n.Tenant})
	if n.BatchID != "" {
		ts = append(ts, Topic{kind: 'b', id: n.BatchID})
	}
	if n.Ended {
		ts = append(ts, EndOf(n.JobID))
	}
	return ts
}
