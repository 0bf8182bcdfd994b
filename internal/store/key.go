package store

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"sandpiper/internal/job"
)

// Key is an Idempotency-Key and what came with it. A Name of "" is no key.
type Key struct {
	Name        string
	Fingerprint []byte // hash of the request; the same key with another one is job.KeyReused
}

// Answer is what was answered to the first request with a key. A Status of 0 is none.
type Answer struct {
	Status int
	Body   []byte
}

// of is what two requests with one key are about.
func (k Key) of(tenant, userID string) string {
	if k.Name == "" {
		return ""
	}
	return "key " + tenant + "\n" + userID + "\n" + k.Name
}

// made is what a request with a key made: one of the three.
type made struct{ jobID, sandboxID, batchID string }

// kind tells what is made.
func (m made) kind() [3]bool { return [3]bool{m.jobID != "", m.sandboxID != "", m.batchID != ""} }

// takeKey takes the key for what a request is to make. When it was taken before, by the same request, it returns what that
// made. It is taken by an insert, not looked up first, so that of many requests at once one wins on every engine.
func (t *tx) takeKey(ctx context.Context, tenant, userID string, k Key, now made) (first made, err error) {
	if k.Name == "" {
		return made{}, nil
	}
	fresh, err := t.once(ctx, `INSERT INTO idempotency (tenant, user_id, key, fingerprint, job_id, sandbox_id, batch_id, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, {now}) ON CONFLICT DO NOTHING`,
		tenant, userID, k.Name, blob(k.Fingerprint), now.jobID, now.sandboxID, now.batchID)
	if err != nil || fresh {
		return made{}, err
	}
	var fingerprint []byte
	err = t.row(ctx, `SELECT job_id, sandbox_id, batch_id, fingerprint FROM idempotency WHERE tenant = $1 AND user_id = $2 AND key = $3`,
		tenant, userID, k.Name).Scan(&first.jobID, &first.sandboxID, &first.batchID, &fingerprint)
	if err != nil {
		return made{}, err
	}
	if !bytes.Equal(fingerprint, k.Fingerprint) || first.kind() != now.kind() {
		return made{}, job.KeyReused{JobID: first.jobID, SandboxID: first.sandboxID, BatchID: first.batchID}
	}
	return first, nil
}

// KeepAnswer keeps what is answered to a request with the key, and returns what is to be answered: the first that was kept,
// however often and by whomever it is asked.
func (s *Store) KeepAnswer(ctx context.Context, tenant, userID string, k Key, a Answer) (Answer, error) {
	var kept Answer
	err := s.write(ctx, about(k.of(tenant, userID)), func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `UPDATE idempotency SET status = $4, answer = $5
			WHERE tenant = $1 AND user_id = $2 AND key = $3 AND status = 0`, tenant, userID, k.Name, a.Status, blob(a.Body))
		if err == nil {
			kept, err = firstAnswer(ctx, t, tenant, userID, k)
		}
		return err
	})
	if err != nil {
		return Answer{}, fmt.Errorf("keep the answer to key %s: %w", k.Name, err)
	}
	if kept.Status == 0 {
		return a, nil // the key was forgotten meanwhile
	}
	return kept, nil
}

func firstAnswer(ctx context.Context, from querier, tenant, userID string, k Key) (a Answer, err error) {
	err = from.row(ctx, `SELECT status, answer FROM idempotency WHERE tenant = $1 AND user_id = $2 AND key = $3`,
		tenant, userID, k.Name).Scan(&a.Status, &a.Body)
	if noRows(err) {
		err = nil
	}
	return a, err
}

// Answered is what was answered to the first request with the key, for requests that do no harm twice: AnswerOnce kept it. A
// Status of 0 says that there was none. job.KeyReused: the key came with another request.
func (s *Store) Answered(ctx context.Context, tenant, userID string, k Key) (a Answer, err error) {
	var first made
	var fingerprint []byte
	err = s.reads.row(ctx, `SELECT job_id, sandbox_id, batch_id, fingerprint, status, answer FROM idempotency
		WHERE tenant = $1 AND user_id = $2 AND key = $3`, tenant, userID, k.Name).
		Scan(&first.jobID, &first.sandboxID, &first.batchID, &fingerprint, &a.Status, &a.Body)
	if noRows(err) {
		return Answer{}, nil
	}
	if err == nil && !bytes.Equal(fingerprint, k.Fingerprint) {
		err = job.KeyReused{JobID: first.jobID, SandboxID: first.sandboxID, BatchID: first.batchID}
	}
	if err != nil {
		return Answer{}, fmt.Errorf("look for the answer to key %s: %w", k.Name, err)
	}
	return a, nil
}

// AnswerOnce takes the key for a request about a job, "" for none, which has been done, and keeps what is answered to it. It
// returns what is to be answered: the first answer that was kept, of several at once too. job.KeyReused: the key came with
// another request meanwhile.
func (s *Store) AnswerOnce(ctx context.Context, tenant, userID string, k Key, jobID string, a Answer) (kept Answer, err error) {
	err = s.write(ctx, about(k.of(tenant, userID)), func(ctx context.Context, t *tx) error {
		if _, err := t.takeKey(ctx, tenant, userID, k, made{jobID: jobID}); err != nil {
			return err
		}
		_, err := t.exec(ctx, `UPDATE idempotency SET status = $4, answer = $5
			WHERE tenant = $1 AND user_id = $2 AND key = $3 AND status = 0`, tenant, userID, k.Name, a.Status, blob(a.Body))
		if err == nil {
			kept, err = firstAnswer(ctx, t, tenant, userID, k)
		}
		return err
	})
	if err != nil {
		return Answer{}, fmt.Errorf("keep the answer to key %s: %w", k.Name, err)
	}
	return kept, nil
}

const oldKeys = `FROM idempotency WHERE created_at <= {now} - $1 ORDER BY created_at LIMIT $2`

// ForgetKeys forgets keys that are older than age, the oldest first and at most limit of them, and counts them. A request
// with such a key is a new one.
func (s *Store) ForgetKeys(ctx context.Context, age time.Duration, limit int) (forgotten int, err error) {
	err = s.write(ctx, about("old keys"), func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, `DELETE FROM idempotency WHERE {old keys}`+oldKeys+` {skip}{/old keys}`, age.Milliseconds(), limit)
		forgotten = int(n)
		return err
	})
	return forgotten, wrap(err, "forget old keys")
}
