package store

import (
	"context"
	"fmt"
)

// places gives positions to the new events of one Postgres transaction.
//
// A reader goes on after the last position that it has seen, so nothing may ever be committed below it. Numbers from a
// sequence do not keep that: of two transactions the one with the lower numbers may commit last. So a position is the
// number of its transaction, and in its low bits that of the event in it; and a reader reads only below the oldest
// transaction that is still open (the word {settled}), where everything is decided.
//
// The numbers of transactions belong to a server. When the database is moved to another one (from a dump, say), it
// would count anew, so a base that is kept in the settings is added: see positionBase.
type places struct {
	base int64
	xact int64 // 0 until it is needed
	used int64
}

// placeBits is how many bits of a position number the events of one transaction.
const placeBits = 20

// take gives n positions in a row and returns the first.
func (p *places) take(ctx context.Context, t *tx, n int) (first int64, err error) {
	if p.xact == 0 {
		var xact int64
		if err := t.row(ctx, `SELECT pg_current_xact_id()::text::bigint`).Scan(&xact); err != nil {
			return 0, fmt.Errorf("number the transaction: %w", err)
		}
		p.xact = xact
	}
	first = (p.base+p.xact)<<placeBits + p.used
	if p.used += int64(n); p.used >= 1<<placeBits {
		return 0, fmt.Errorf("%d events in one transaction are too many", p.used)
	}
	return first, nil
}

// settledWords are the words of a dialect that tell where everything is decided.
func settledWords(base int64) []string {
	open := fmt.Sprintf("((pg_snapshot_xmin(pg_current_snapshot())::text::bigint + %d) << %d)", base, placeBits)
	return []string{"{settled}", "(position < " + open + ")", "{place}", "LEAST(position, " + open + " - 1)"}
}

// positionBase is what is added to the numbers of transactions, so that new positions are above all that are there.
func (s *Store) positionBase(ctx context.Context) (base int64, err error) {
	err = s.writes.apart(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, `INSERT INTO settings (name, value) VALUES ('position_base', '0') ON CONFLICT (name) DO NOTHING`); err != nil {
			return err
		}
		var newest, next int64
		err := t.row(ctx, `SELECT value::bigint, (SELECT COALESCE(MAX(position), 0) >> 20 FROM events),
			pg_snapshot_xmax(pg_current_snapshot())::text::bigint FROM settings WHERE name = 'position_base' {lock}`).
			Scan(&base, &newest, &next)
		if err != nil || base+next > newest {
			return err
		}
		base = newest - next + 1
		_, err = t.exec(ctx, `UPDATE settings SET value = $1 WHERE name = 'position_base'`, fmt.Sprint(base))
		return err
	})
	return base, wrap(err, "find where positions begin")
}
