package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// How many connections a process has. Whoever runs many processes can reckon: ten each.
const (
	pgGroups = 2 // groups that are committed at once: one waits for the disk while the other works
	pgAlone  = 2 // writes that broke a group
	pgApart  = 1 // beats, which wait for nobody
	pgBulk   = 1 // writes of hundreds of rows, for which nobody waits
	pgReads  = 4
)

// How long Postgres may take before it is asked again or given up.
const (
	pgConnect   = 3 * time.Second
	pgStatement = 10 * time.Second
	pgLock      = 300 * time.Millisecond // in a group, where others wait too
	pgLockAlone = 3 * time.Second
	pgIdle      = 15 * time.Second // in a transaction: its process hangs
	pgGroup     = 12 * time.Second // for a whole transaction
)

// postgresConfig is url with our habits. What url says itself stays.
func postgresConfig(url string, conns int32, more map[string]string) (*pgxpool.Config, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the URL is not one that Postgres takes") // the error would repeat it, with its password
	}
	c.MaxConns = conns
	c.MaxConnIdleTime = time.Minute
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = pgConnect
	}
	params := c.ConnConfig.RuntimeParams
	for name, value := range map[string]string{
		"application_name":                    "sandpiper",
		"statement_timeout":                   millis(pgStatement),
		"lock_timeout":                        millis(pgLock),
		"idle_in_transaction_session_timeout": millis(pgIdle),
		"default_transaction_isolation":       "read committed",
		"random_page_cost":                    "1.1", // the tables lie on what has no heads to move, or in memory
		// Every statement finds its few rows by an index. While a large batch comes in, what the planner knows of the tables
		// is a minute old, and so it would go through them, or collect them in a hash.
		"enable_seqscan":  "off",
		"enable_hashjoin": "off",
		"jit":             "off",
		// Else the pages that a large batch dirties gather in the kernel, which writes hundreds of megabytes at a stroke every
		// half minute, and each commit of anybody waits behind them.
		"backend_flush_after": "256kB",
	} {
		if _, said := params[name]; !said {
			params[name] = value
		}
	}
	for name, value := range more {
		params[name] = value
	}
	return c, nil
}

func millis(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// openPools connects to the database at url: once for writes and once for reads, so that neither waits for the other.
func openPools(ctx context.Context, url string) (writes, reads *pgxpool.Pool, err error) {
	c, err := postgresConfig(url, pgGroups+pgAlone+pgApart+pgBulk, nil)
	if err != nil {
		return nil, nil, err
	}
	c.AfterConnect = durable
	if writes, err = pgxpool.NewWithConfig(ctx, c); err != nil {
		return nil, nil, err
	}
	if c, err = postgresConfig(url, pgReads, map[string]string{"default_transaction_read_only": "on"}); err == nil {
		reads, err = pgxpool.NewWithConfig(ctx, c)
	}
	if err != nil {
		writes.Close()
		return nil, nil, err
	}
	return writes, reads, nil
}

// durable makes a commit that was answered survive a crash also where the database is set up otherwise.
func durable(ctx context.Context, c *pgx.Conn) error {
	var how string
	if err := c.QueryRow(ctx, `SHOW synchronous_commit`).Scan(&how); err != nil {
		return err
	}
	if how != "off" {
		return nil // on, or something stronger
	}
	_, err := c.Exec(ctx, `SET synchronous_commit = on`)
	return err
}

// Away reports whether err says that the database could not be reached, or went away in the middle: later is better.
func Away(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code[:2] {
		case "08", "57", "53": // connection, operator's intervention, too few resources
			return refused.Code != "57014" // a statement that took too long will do so again
		}
		return false
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// passing reports whether a write that failed with err may succeed when it is run again at once.
func passing(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code {
		case "40001", "40P01", "55P03": // serialization, deadlock, lock timeout
			return true
		}
	}
	return errors.Is(err, errLate) || Away(err)
}
