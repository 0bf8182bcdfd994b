package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// AddSandbox keeps a sandbox that somebody asked for, to be made by whoever turns SandboxesToCreate. sb brings its ID, for
// an operator the UserID, and Snapshot and Fingerprint if they are known; otherwise whoever makes it fills them in, by
// SandboxReady. It is pooled. The same ID again gives what is there.
// job.ErrForbidden: c may not add for that user.
func (s *Store) AddSandbox(ctx context.Context, c auth.Caller, sb job.Sandbox) (job.Sandbox, error) {
	kept, _, _, err := s.AddSandboxOnce(ctx, c, sb, Key{}, job.Limits{})
	return kept, err
}

// AddSandboxOnce is AddSandbox for a request with a key: the same again gives the sandbox that is there, replayed, and what
// was answered then. job.KeyReused: the key came with another fingerprint. job.ErrSandboxLimit: there are as many as l says, and
// none of them is idle. One that is idle is given up, and SandboxesToCreate keeps the new one back until it is gone.
func (s *Store) AddSandboxOnce(ctx context.Context, c auth.Caller, sb job.Sandbox, k Key, l job.Limits) (kept job.Sandbox, first Answer, replayed bool, err error) {
	sb.Tenant = c.Tenant
	if sb.UserID == "" {
		sb.UserID = c.UserID
	}
	write := s.write
	if !l.None() {
		write = s.writeCounting
	}
	err = write(ctx, about(sb.ID, k.of(sb.Tenant, sb.UserID)), func(ctx context.Context, t *tx) error {
		first = Answer{}
		if sb.ID == "" || !c.Sees(sb.Tenant, sb.UserID) {
			return job.ErrForbidden
		}
		before, err := t.takeKey(ctx, sb.Tenant, sb.UserID, k, made{sandboxID: sb.ID})
		if replayed = before.sandboxID != ""; err == nil && replayed {
			if kept, err = loadSandbox(ctx, t, before.sandboxID); err == nil {
				first, err = firstAnswer(ctx, t, sb.Tenant, sb.UserID, k)
			}
			return err
		}
		if err != nil {
			return err
		}
		if err := t.makeRoom(ctx, User{sb.Tenant, sb.UserID}, sb.ID, l); err != nil {
			return err
		}
		added, err := t.once(ctx, `INSERT INTO sandboxes (id, tenant, user_id, state, snapshot, fingerprint, asked_for, created_at)
			VALUES ($1, $2, $3, 'creating', $4, $5, TRUE, {now}) ON CONFLICT (id) DO NOTHING`,
			sb.ID, sb.Tenant, sb.UserID, sb.Snapshot, sb.Fingerprint)
		if err != nil {
			return err
		}
		if kept, err = loadSandbox(ctx, t, sb.ID); err != nil {
			return err
		}
		if !c.Sees(kept.Tenant, kept.UserID) {
			return job.ErrForbidden
		}
		if added {
			t.tellSandbox(kept)
		}
		return nil
	})
	if err != nil {
		return job.Sandbox{}, Answer{}, false, fmt.Errorf("add sandbox %s: %w", sb.ID, err)
	}
	return kept, first, replayed, nil
}

func (t *tx) tellSandbox(b job.Sandbox) {
	n := t.tell()
	n.Tenant, n.UserID, n.Sandbox = b.Tenant, b.UserID, b.ID
}

// Sandbox reads one sandbox of c, whatever its state. job.ErrSandboxNotFound: there is none, or it is not c's.
func (s *Store) Sandbox(ctx context.Context, c auth.Caller, id string) (job.Sandbox, error) {
	b, err := loadSandbox(ctx, s.reads, id)
	if err == nil && !c.Sees(b.Tenant, b.UserID) {
		err = job.ErrSandboxNotFound
	}
	if err != nil {
		return job.Sandbox{}, fmt.Errorf("read sandbox %s: %w", id, err)
	}
	return b, nil
}

// HadSandbox reports whether this database has ever had a sandbox: it has a row, whatever its state. Rows are kept.
func (s *Store) HadSandbox(ctx context.Context, id string) (bool, error) {
	_, err := loadSandbox(ctx, s.reads, id)
	if errors.Is(err, job.ErrSandboxNotFound) {
		return false, nil
	}
	return err == nil, wrap(err, "look for sandbox "+id)
}

// Sandboxes lists c's sandboxes that are not gone, newest first. A limit of 0 means 50.
func (s *Store) Sandboxes(ctx context.Context, c auth.Caller, limit int) ([]job.Sandbox, error) {
	var w where
	w.visible(c, "", "", false)
	w.parts = append(w.parts, `state <> 'gone'`) // the index has no others
	rows, err := s.reads.query(ctx, `SELECT `+sandboxColumns+` FROM sandboxes`+w.sql()+
		` ORDER BY number DESC`+w.limit(limit, 50), w.args...)
	list, err := collect(rows, err, scanSandbox)
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	return list, nil
}

// SandboxesToCreate gives out sandboxes that wait to be made and that no job holds, each to one worker for the time of
// lease. A worker that asks again gets its own again, so that a lost answer loses nothing. While there are more than l says, since
// others are only on their way out, they wait.
func (s *Store) SandboxesToCreate(ctx context.Context, worker string, lease time.Duration, limit int, l job.Limits) ([]job.Sandbox, error) {
	waiting := ` FROM sandboxes c WHERE c.state = 'creating' AND c.busy_job = '' AND (c.create_until <= {now} OR c.create_worker = $1)` + within(l)
	var any bool
	err := s.reads.row(ctx, `SELECT EXISTS (SELECT 1`+waiting+`)`, worker).Scan(&any)
	if err != nil || !any { // the usual answer costs no write
		return nil, wrap(err, "find sandboxes to create")
	}
	var list []job.Sandbox
	err = s.write(ctx, about("sandboxes to create"), func(ctx context.Context, t *tx) error {
		rows, err := t.query(ctx, `UPDATE sandboxes SET create_worker = $1, create_until = {now} + $2
			WHERE number IN (SELECT c.number`+waiting+` ORDER BY c.number LIMIT $3 {skip}) RETURNING `+sandboxColumns,
			worker, lease.Milliseconds(), limit)
		list, err = collect(rows, err, scanSandbox)
		return err
	})
	return list, wrap(err, "take sandboxes to create")
}

// SandboxesToDelete lists sandboxes that are not to be used again and that no job holds, oldest first.
func (s *Store) SandboxesToDelete(ctx context.Context, limit int) ([]job.Sandbox, error) {
	rows, err := s.reads.query(ctx, `SELECT `+sandboxColumns+` FROM sandboxes
		WHERE state = 'cleanup' AND busy_job = '' ORDER BY number LIMIT $1`, limit)
	list, err := collect(rows, err, scanSandbox)
	return list, wrap(err, "list sandboxes to delete")
}

// LiveSandboxes lists the sandboxes that are not gone, whoever they belong to, oldest first: those behind the place after.
// next is the place of the last one; an empty page is the end.
func (s *Store) LiveSandboxes(ctx context.Context, after int64, limit int) (page []job.Sandbox, next int64, err error) {
	rows, err := s.reads.query(ctx, `SELECT number, `+sandboxColumns+` FROM sandboxes
		WHERE number > $1 AND state <> 'gone' ORDER BY number LIMIT $2`, after, limit)
	page, err = collect(rows, err, func(row scanner) (job.Sandbox, error) { return scanSandbox(behind{row, &next}) })
	return page, next, wrap(err, "list live sandboxes")
}

// behind is a row with a number before what is scanned.
type behind struct {
	scanner
	number *int64
}

func (b behind) Scan(dest ...any) error { return b.scanner.Scan(append([]any{b.number}, dest...)...) }

// SandboxReady keeps that a sandbox was made: Daytona's id of it, and what it was made with, its Snapshot and Fingerprint,
// as far as made has them. job.ErrSandboxNotFound: there is no such row, or the sandbox was given up meanwhile; then it is
// kept for deletion under that id.
func (s *Store) SandboxReady(ctx context.Context, made job.Sandbox) error {
	gone := false
	err := s.write(ctx, about(made.ID), func(ctx context.Context, t *tx) error {
		b, err := loadSandbox(ctx, t, made.ID)
		if err != nil {
			return err
		}
		next := job.SandboxReady
		if gone = b.State == job.SandboxCleanup || b.State == job.SandboxGone; gone {
			next = job.SandboxCleanup
		}
		snapshot, fingerprint := cmp.Or(made.Snapshot, b.Snapshot), cmp.Or(made.Fingerprint, b.Fingerprint)
		if b.State == next && b.PlatformID == made.PlatformID && b.Fingerprint == fingerprint {
			return nil
		}
		return t.turnSandbox(ctx, b, `state = $2, platform_id = $3, snapshot = $4, fingerprint = $5,
			create_worker = '', create_until = 0, last_used_at = {now}`,
			string(next), made.PlatformID, snapshot, fingerprint)
	})
	if err == nil && gone {
		err = job.ErrSandboxNotFound
	}
	return wrap(err, "keep that sandbox "+made.ID+" is ready")
}

// DeleteSandbox gives a sandbox of c up: it will be deleted by whoever turns SandboxesToDelete, and queued jobs that named
// it end as SANDBOX_DELETED. Again is success. job.ErrSandboxNotFound: there is none, or it is not c's.
// job.ErrSandboxBusy: a job runs in it.
func (s *Store) DeleteSandbox(ctx context.Context, c auth.Caller, id, reason string) (job.Sandbox, error) {
	var b job.Sandbox
	err := s.write(ctx, about(id), func(ctx context.Context, t *tx) (err error) {
		if b, err = loadSandbox(ctx, t, id); err != nil {
			return err
		}
		switch {
		case !c.Sees(b.Tenant, b.UserID):
			return job.ErrSandboxNotFound
		case b.State == job.SandboxCleanup, b.State == job.SandboxGone:
			return nil
		}
		// A claim may take it in this moment: whoever comes first has it.
		n, err := t.exec(ctx, `UPDATE sandboxes SET state = 'cleanup', reason = $2 WHERE id = $1 AND busy_job = ''`, id, []byte(reason))
		if err == nil && n == 0 {
			err = job.ErrSandboxBusy
		}
		if err != nil {
			return err
		}
		b.State, b.Reason = job.SandboxCleanup, reason
		return t.turned(ctx, b)
	})
	if err != nil {
		return job.Sandbox{}, fmt.Errorf("delete sandbox %s: %w", id, err)
	}
	return b, nil
}

// SandboxGone keeps that a sandbox was deleted, or could not be made. Again is success.
func (s *Store) SandboxGone(ctx context.Context, id, reason string) error {
	return wrap(s.retire(ctx, id, reason, job.SandboxGone), "keep that sandbox "+id+" is gone")
}

// SandboxCleanup keeps that a sandbox is not to be used again and will be deleted once no job holds it. Again is
// success; one that is gone stays gone.
func (s *Store) SandboxCleanup(ctx context.Context, id, reason string) error {
	return wrap(s.retire(ctx, id, reason, job.SandboxCleanup), "give sandbox "+id+" up")
}

func (s *Store) retire(ctx context.Context, id, reason string, next job.SandboxState) error {
	return s.write(ctx, about(id), func(ctx context.Context, t *tx) error {
		b, err := loadSandbox(ctx, t, id)
		if err != nil {
			return err
		}
		if b.State == next || b.State == job.SandboxGone {
			return nil
		}
		return t.turnSandbox(ctx, b, `state = $2, reason = $3`, string(next), []byte(reason))
	})
}

// turnSandbox changes a sandbox that was read in this transaction, and wants hints for every job that waits for it.
func (t *tx) turnSandbox(ctx context.Context, b job.Sandbox, set string, args ...any) error {
	if err := t.must(ctx, `UPDATE sandboxes SET `+set+` WHERE id = $1`, append([]any{b.ID}, args...)...); err != nil {
		return err
	}
	return t.turned(ctx, b)
}

func (t *tx) turned(ctx context.Context, b job.Sandbox) error {
	t.tellSandbox(b)
	_, err := t.exec(ctx, `UPDATE jobs SET pushed_at = 0 WHERE state = 'queued' AND sandbox_id = $1 AND sandbox_id <> ''`, b.ID)
	return err
}

// wrap says what was being done, if it failed.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
