package store

import "context"

// engine is a database: how it runs groups of writes, and how it is closed. The rest of this package is SQL that all
// engines take, in the words of a dialect.
type engine interface {
	// commit decides every write of a group, in one transaction. One that it could not decide it marks: undecided, so that
	// it is tried again, in a group or, when it broke this one, alone.
	commit(ctx context.Context, group []*write)
	// alone runs one write in a transaction of its own, and returns when it is decided. So do apart, for those that must not
	// wait for others, and bulk, for those that take so long that others must not wait for them.
	alone(ctx context.Context, wr *write)
	apart(ctx context.Context, wr *write)
	bulk(ctx context.Context, wr *write)
	// groups is how many groups are committed at once.
	groups() int
	close() error
}

// statements is the way into one transaction.
type statements interface {
	query(ctx context.Context, query string, args ...any) (rows, error)
	row(ctx context.Context, query string, args ...any) scanner
	exec(ctx context.Context, query string, args ...any) (changed int64, err error)
}

// reads is the way to what is committed, beside the writers and without waiting for them.
type reads interface {
	querier
	close() error
}

// querier is what a read needs: reads, or the transaction of a write.
type querier interface {
	query(ctx context.Context, query string, args ...any) (rows, error)
	row(ctx context.Context, query string, args ...any) scanner
}

// rows are what a query found. *sql.Rows is one.
type rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// scanner is one row to read.
type scanner interface{ Scan(dest ...any) error }

// failed is a row that could not be asked for.
type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

// collect reads every row with one and closes rows.
func collect[T any](rows rows, err error, one func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := one(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}
