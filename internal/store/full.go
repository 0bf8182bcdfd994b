package store

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
)

// Full reports whether err says that the database's disk has no room: what was to be written was not, and what was committed
// before is kept. The same write goes through when there is room again.
func Full(err error) bool {
	var file *sqlite.Error
	if errors.As(err, &file) {
		return file.Code()&0xff == sqliteFull
	}
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "53100" // disk_full
}

const sqliteFull = 13 // SQLITE_FULL; the low byte of an extended code
