package pool

import (
	"context"
	"errors"

	"sandpiper/internal/daytona"
)

// Box is an open sandbox: its toolbox and the one session that preflight and launches go through.
type Box struct {
	*daytona.Toolbox
	ID         string // ours
	PlatformID string
	Session    string
	Stopped    string // why the platform had stopped it before it was opened, when it said so
}

// newBox names the session after the sandbox, as the guide's first pattern does.
func newBox(id string, t *daytona.Toolbox, platformID string) *Box {
	return &Box{Toolbox: t, ID: id, PlatformID: platformID, Session: platformID}
}

// Exec runs a command in a session and makes the session when it is not there: a sandbox that was stopped in
// between has none, and `exit` in a command ends one. Repeating is safe then, for the command was never started.
func (b *Box) Exec(ctx context.Context, session, command string) (daytona.Exec, error) {
	out, err := b.Toolbox.Exec(ctx, session, command)
	if !errors.Is(err, daytona.ErrSessionGone) {
		return out, err
	}
	if err := b.RenewSession(ctx, session); err != nil {
		return out, err
	}
	return b.Toolbox.Exec(ctx, session, command)
}
