package store

import (
	"context"
	"fmt"

	"sandpiper/internal/job"
)

// A conversation is the chain of one user's jobs with the same conversation id. It needs no table of its own: it lives
// in the sandbox of its newest job that said anything, under that job's session.

// inTurn keeps jobs j that do not wait for an earlier job of their conversation.
const inTurn = ` AND (NOT j.continues OR NOT EXISTS (SELECT 1 FROM jobs p WHERE p.conversation_id = j.conversation_id
	AND p.number < j.number AND p.tenant = j.tenant AND p.user_id = j.user_id AND p.state IN ('queued', 'running'))) `

// conversation resolves which conversation a new job belongs to, and the sandbox that it is to run in, "" when that is
// not known yet. A job that is to continue something that is not there gets an id that no other job has: its claim
// ends it.
func (t *tx) conversation(ctx context.Context, j job.Job) (id, sandbox string, err error) {
	s := j.Spec
	id, sandbox = s.ConversationID, s.SandboxID
	if s.Continue && id == "" {
		err := t.row(ctx, `SELECT conversation_id FROM jobs WHERE sandbox_id = $1 AND sandbox_id <> '' AND tenant = $2
			AND user_id = $3 AND (session_id <> '' OR state IN ('queued', 'running')) ORDER BY number DESC LIMIT 1`,
			sandbox, j.Tenant, j.UserID).Scan(&id)
		if err != nil && !noRows(err) {
			return "", "", err
		}
	}
	if id == "" {
		id, err := t.beginning(ctx, j)
		return id, sandbox, err
	}
	if sandbox == "" {
		err = t.row(ctx, `SELECT sandbox_id FROM jobs WHERE conversation_id = $1 AND tenant = $2 AND user_id = $3
			AND sandbox_id <> '' AND (session_id <> '' OR state IN ('queued', 'running')) ORDER BY number DESC LIMIT 1`,
			id, j.Tenant, j.UserID).Scan(&sandbox)
		if noRows(err) {
			err = nil
		}
	}
	return id, sandbox, err
}

// beginning is the id of the conversation that a new job begins. A retry begins the one of the job that it repeats anew,
// unless another job has gone on with that, or is about to: it would lose what was said before.
func (t *tx) beginning(ctx context.Context, j job.Job) (id string, err error) {
	taken := j.RetryOf == "" || j.ConversationID == ""
	if !taken {
		err = t.row(ctx, `SELECT EXISTS (SELECT 1 FROM jobs WHERE conversation_id = $1 AND tenant = $2 AND user_id = $3
			AND continues AND (session_id <> '' OR state IN ('queued', 'running')))`,
			j.ConversationID, j.Tenant, j.UserID).Scan(&taken)
	}
	if taken {
		return job.NewConversationID(), err
	}
	return j.ConversationID, err
}

// said is where a conversation stands.
type said struct{ session, sandbox string }

// said finds the newest job of the conversation that said anything before the job before.
func (t *tx) said(ctx context.Context, tenant, userID, conversation, before string) (s said, err error) {
	err = t.row(ctx, `SELECT session_id, sandbox_id FROM jobs WHERE conversation_id = $1 AND tenant = $2 AND user_id = $3
		AND session_id <> '' AND number < (SELECT number FROM jobs WHERE id = $4) ORDER BY number DESC LIMIT 1`,
		conversation, tenant, userID, before).Scan(&s.session, &s.sandbox)
	return s, err
}

// takeConversation makes the sandbox of a job's conversation busy with it. job.ErrNotClaimable: it is not the job's
// turn. errEnded: there is nothing to go on with.
func (t *tx) takeConversation(ctx context.Context, h *head, l job.Limits) error {
	var mine bool
	if err := t.row(ctx, `SELECT EXISTS (SELECT 1 FROM jobs j WHERE j.id = $1`+inTurn+`)`, h.id).Scan(&mine); err != nil {
		return err
	}
	if !mine {
		return job.ErrNotClaimable
	}
	s, err := t.said(ctx, h.tenant, h.userID, h.talk, h.id)
	if noRows(err) {
		return t.lose(ctx, h, "Nothing was said in this conversation yet, or there is none with this id.")
	}
	if err != nil {
		return err
	}
	if h.named && h.sandboxID != s.sandbox {
		return t.lose(ctx, h, "The conversation is in another sandbox.")
	}
	var usable bool
	err = t.row(ctx, `SELECT EXISTS (SELECT 1 FROM sandboxes WHERE id = $1 AND state IN ('creating', 'ready'))`, s.sandbox).Scan(&usable)
	if err != nil {
		return err
	}
	if !usable {
		return t.lose(ctx, h, "The sandbox that the conversation was in is gone.")
	}
	return t.occupy(ctx, h, s.sandbox, l)
}

// lose ends a job that has nothing to go on with. It never begins a conversation instead.
func (t *tx) lose(ctx context.Context, h *head, why string) error {
	o := job.FailedWith(job.Failed, job.Failure{Code: job.ConversationLost, Message: why}, 0)
	if err := t.end(ctx, h, o, 0); err != nil {
		return err
	}
	return errEnded
}

// wakeConversation wants a hint for the jobs that wait for this one in its conversation, and tells them where it is.
func (t *tx) wakeConversation(ctx context.Context, h *head) error {
	_, err := t.exec(ctx, `UPDATE jobs SET pushed_at = 0, sandbox_id = CASE WHEN sandbox_id = '' THEN $5 ELSE sandbox_id END
		WHERE conversation_id = $1 AND number > $2 AND {beside}tenant {is} $3 AND {beside}user_id {is} $4 AND {beside}state {is} 'queued' AND continues`,
		h.talk, h.number, h.tenant, h.userID, h.sandboxID)
	if err != nil {
		return fmt.Errorf("wake the conversation of job %s: %w", h.id, err)
	}
	return nil
}
