package store

import (
	"fmt"
	"strings"

	"sandpiper/internal/auth"
)

// where builds a condition whose parts depend on the question.
type where struct {
	parts []string
	args  []any
}

// and adds a part; a "?" in it stands for arg.
func (w *where) and(part string, arg any) {
	w.args = append(w.args, arg)
	w.parts = append(w.parts, strings.Replace(part, "?", fmt.Sprintf("$%d", len(w.args)), 1))
}

// visible keeps what c may see, as auth.Caller.Sees says, and of that what belongs to user unless that is "". of is the
// table's name with a dot, or "". narrowed says that another condition, with an index of its own, finds fewer rows.
func (w *where) visible(c auth.Caller, of, user string, narrowed bool) {
	everyone := c.Operator && c.UserID == ""
	column := func(name string) string {
		if narrowed || (everyone && user == "") {
			// The planner is kept off the indexes that begin with tenant and user: it would find all rows of the tenant
			// there and sort them, where the other order stops at the limit.
			return `{beside}` + of + name + ` {is} ?`
		}
		return of + name + ` = ?`
	}
	w.and(column("tenant"), c.Tenant)
	if !everyone {
		w.and(column("user_id"), c.UserID)
	}
	w.unless(column("user_id"), user)
}

// batch keeps what belongs to a batch of somebody whom c may see. Whose it is, which is the same for all of it, is asked
// once: a stranger's question does not go through all rows of a large batch to find nothing.
func (w *where) batch(of, id string, c auth.Caller, user string) {
	w.and(of+`batch_id <> '' AND `+of+`batch_id = ?`, id) // the index of batches has no others
	owner := fmt.Sprintf(`(SELECT o.user_id FROM jobs o WHERE o.batch_id <> '' AND o.batch_id = $%d ORDER BY o.number LIMIT 1) = ?`, len(w.args))
	if !c.Operator || c.UserID != "" {
		w.and(owner, c.UserID)
	}
	w.unless(owner, user)
}

// unless adds a part when arg is set.
func (w *where) unless(part, arg string) {
	if arg != "" {
		w.and(part, arg)
	}
}

func (w *where) sql() string { return " WHERE " + strings.Join(w.parts, " AND ") }

// limit adds n, or byDefault when n is not set, as the last argument.
func (w *where) limit(n, byDefault int) string {
	if n <= 0 {
		n = byDefault
	}
	w.args = append(w.args, n)
	return fmt.Sprintf(" LIMIT $%d", len(w.args))
}
