package store

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// HoldTurn says whether holder may do a background turn for the time d, on the database's clock. One holder has it at a
// time; asking again keeps it. It writes only when the hold is to begin, or half of it is over.
func (s *Store) HoldTurn(ctx context.Context, turn, holder string, d time.Duration) (bool, error) {
	var who string
	var left int64 // milliseconds
	err := s.reads.row(ctx, `SELECT holder, expires_at - {now} FROM turns WHERE name = $1`, turn).Scan(&who, &left)
	switch {
	case err != nil && !noRows(err):
		return false, wrap(err, "look at turn "+turn)
	case err == nil && left > 0 && who != holder:
		return false, nil
	case err == nil && left > d.Milliseconds()/2:
		return true, nil
	}
	var held bool
	err = s.write(ctx, about(turn), func(ctx context.Context, t *tx) (err error) {
		held, err = t.once(ctx, `INSERT INTO turns (name, holder, expires_at) VALUES ($1, $2, {now} + $3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
			WHERE turns.holder = excluded.holder OR turns.expires_at <= {now}`, turn, holder, d.Milliseconds())
		return err
	})
	return held && err == nil, wrap(err, "hold turn "+turn)
}

// Installation is the id of this deployment, made once. It stands on every sandbox, so that two deployments never
// touch each other's.
func (s *Store) Installation(ctx context.Context) (string, error) {
	id, err := s.setting(ctx, "installation")
	if err != nil || id != "" {
		return id, err
	}
	err = s.write(ctx, about("settings"), func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO settings (name, value) VALUES ('installation', $1) ON CONFLICT (name) DO NOTHING`,
			uuid.NewString())
		return err
	})
	if err != nil {
		return "", wrap(err, "make the installation's id")
	}
	return s.setting(ctx, "installation")
}

// Snapshot is the name of the snapshot for new sandboxes, "" when none is known.
func (s *Store) Snapshot(ctx context.Context) (string, error) { return s.setting(ctx, "snapshot") }

// SetSnapshot changes it.
func (s *Store) SetSnapshot(ctx context.Context, name string) error {
	return wrap(s.set(ctx, "snapshot", name), "set the current snapshot")
}

// LocalSnapshot is the snapshot that an operator chose for the embedded Daytona, which no platform has; "" for none.
func (s *Store) LocalSnapshot(ctx context.Context) (string, error) {
	return s.setting(ctx, "local_snapshot")
}

// SetLocalSnapshot changes it.
func (s *Store) SetLocalSnapshot(ctx context.Context, name string) error {
	return wrap(s.set(ctx, "local_snapshot", name), "set the current local snapshot")
}

func (s *Store) set(ctx context.Context, name, value string) error {
	return s.write(ctx, about("settings"), func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
		return err
	})
}

func (s *Store) setting(ctx context.Context, name string) (value string, err error) {
	err = s.reads.row(ctx, `SELECT value FROM settings WHERE name = $1`, name).Scan(&value)
	if noRows(err) {
		return "", nil
	}
	return value, wrap(err, "read setting "+name)
}
