package chaos

import (
	"context"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// harm is what was done to a sandbox at the platform. Whatever ran in it meanwhile may be lost, and nothing else.
type harm struct {
	sandbox     string // our id
	deleted     bool   // else it was stopped, and its files are there
	since, till time.Time
}

// harm stops or deletes a sandbox in which a job runs, past every proxy, as an operator of the platform could.
func (b *breaker) harm(f fault, method, how string) {
	if b.spared || b.down || !b.daytona.lives() || b.daytona.paused || b.daytona.where() == "" {
		return
	}
	id, platform := b.busy(f.target)
	if platform == "" {
		return
	}
	h := harm{sandbox: id, deleted: method == http.MethodDelete, since: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, b.daytona.where()+"/api/sandbox/"+platform+how, nil)
	b.may(err)
	q.Header.Set("Authorization", "Bearer "+daytonaKey)
	resp, err := plain.Do(q)
	if err == nil {
		resp.Body.Close()
	}
	switch h.till = time.Now().Add(5 * time.Second); { // it is answered before it is done
	case err != nil:
		h.till = h.till.Add(time.Minute) // who knows
	case resp.StatusCode/100 != 2:
		return // it was gone by then
	}
	b.harms = append(b.harms, h)
	b.ledger.hit(f.what)
}

// busy is one of the sandboxes in which a job runs: our id, and the platform's.
func (b *breaker) busy(which int) (id, platform string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, b.database)
	if err != nil {
		return "", ""
	}
	defer conn.Close(ctx)
	_ = conn.QueryRow(ctx, `SELECT id, platform_id FROM sandboxes WHERE busy_job <> '' AND state = 'ready' AND platform_id <> ''
		ORDER BY number OFFSET $1 % GREATEST(1, (SELECT COUNT(*) FROM sandboxes WHERE busy_job <> '' AND state = 'ready' AND platform_id <> '')) LIMIT 1`,
		which).Scan(&id, &platform) // without one there is nothing to do
	return id, platform
}

// harmed are the jobs of which a run was open in a sandbox while that was stopped or deleted; true: deleted.
func (f *fleet) harmed() map[string]bool {
	all := map[string]bool{}
	if len(f.harms) == 0 {
		return all
	}
	for _, r := range rows[struct {
		Job, Sandbox   string
		Begun, EndedAt int64
	}](f, `SELECT job_id, sandbox_id, intended_at, ended_at FROM runs`) {
		for _, h := range f.harms {
			if r.Sandbox == h.sandbox && r.Begun <= h.till.UnixMilli() && (r.EndedAt == 0 || r.EndedAt >= h.since.UnixMilli()) {
				all[r.Job] = all[r.Job] || h.deleted
			}
		}
	}
	return all
}

// together takes away two or three of what the processes stand on, for ten seconds at most.
func (b *breaker) together(f fault) {
	which := []string{"postgres and redis", "postgres and sandboxes", "redis and sandboxes", "postgres, redis and sandboxes"}[f.target%4]
	b.ledger.hit("away together: " + which)
	if strings.Contains(which, "postgres") {
		b.sql.away(true)
	}
	if strings.Contains(which, "redis") {
		b.hints.away(true)
	}
	hangs := strings.Contains(which, "sandboxes") && b.daytona.lives() && !b.daytona.paused
	if hangs {
		b.daytona.signal(b.t, syscall.SIGSTOP)
	}
	b.after(min(2*f.length, 10*time.Second), func() {
		b.sql.away(false)
		b.hints.away(false)
		if hangs {
			b.daytona.signal(b.t, syscall.SIGCONT)
		}
	})
}
