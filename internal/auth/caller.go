// Package auth says who is asking. It is a leaf: a Caller is an argument of every read and write, never fished out
// of a context deep down.
package auth

// Caller is who asks: a user of a tenant, or the local operator.
type Caller struct {
	Tenant   string // "" is the only tenant when nothing is configured
	UserID   string // "" for an operator, who sees every user's jobs
	Operator bool   // has every scope
}

// User is a caller who sees only their own jobs, events and sandboxes.
func User(id string) Caller { return Caller{UserID: id} }

// LocalOperator is who asks when no keys are configured and no user is named: whoever sits at this machine.
func LocalOperator() Caller { return Caller{Operator: true} }

// Sees reports whether c may see what belongs to a user of a tenant.
func (c Caller) Sees(tenant, userID string) bool {
	if c.Tenant != tenant {
		return false
	}
	return c.UserID == userID || (c.Operator && c.UserID == "")
}
