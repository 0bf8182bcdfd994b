// Package auth says who is asking: a key or a token becomes an Identity, and an Identity, with the user that a
// request names, a Caller. It is a leaf: a Caller is an argument of every read and write, never fished out of a context
// deep down. What it must never do is to say more of a credential that it refuses than that.
package auth

// Caller is who asks: a user of a tenant, or an operator of it.
type Caller struct {
	Tenant   string // "" is the only tenant when nothing is configured
	UserID   string // "" for an operator, who sees every user's jobs
	Operator bool   // sees, without a UserID, what belongs to any user of the tenant
	Scopes   Scopes // what the credential may be used for
}

// User is a caller who sees only their own jobs, events and sandboxes.
func User(id string) Caller { return Caller{UserID: id, Scopes: Jobs} }

// LocalOperator is who asks when no keys are configured and no user is named: whoever sits at this machine.
func LocalOperator() Caller { return Caller{Operator: true, Scopes: Admin} }

// Sees reports whether c may see what belongs to a user of a tenant.
func (c Caller) Sees(tenant, userID string) bool {
	if c.Tenant != tenant {
		return false
	}
	return c.UserID == userID || (c.Operator && c.UserID == "")
}
