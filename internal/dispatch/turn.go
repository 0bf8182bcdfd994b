package dispatch

import (
	"context"
	"fmt"
	"time"
)

// term is how long one process keeps the sweeper's turn. After its death the next one waits for so long, at most.
const term = 10 * time.Second

// turn is this process's share in what the fleet does once. It asks the database seldom, for asking is a write: the
// holder twice a term, the others four times. Two who think that they hold it do no harm, only twice the work.
type turn struct {
	holder string
	mine   bool
	ask    time.Time // not before
}

func (t *turn) hold(ctx context.Context, jobs overdue, now time.Time) (bool, error) {
	if now.Before(t.ask) {
		return t.mine, nil
	}
	mine, err := jobs.HoldTurn(ctx, "sweeper", t.holder, term)
	if err != nil {
		return false, fmt.Errorf("take the sweeper's turn: %w", err)
	}
	t.mine, t.ask = mine, now.Add(term/4)
	if mine {
		t.ask = now.Add(term / 2)
	}
	return mine, nil
}
