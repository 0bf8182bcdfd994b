package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sandpiper/internal/job"
)

// News hears of what was committed. Publish must not block: it is called on the way of every write.
type News interface {
	Publish(ctx context.Context, n job.News)
}

// Options has what a store can do without.
type Options struct {
	News News         // nil means silence; SetNews changes it
	Log  *slog.Logger // for the schema's changes; nil means slog.Default()
	// Committed hears of each transaction that was tried: how many writes shared it, and how long it took. It must not
	// block: everybody waits for it. nil means that nobody listens.
	Committed func(writes int, took time.Duration)
	Migrate   bool // brings the schema of a Postgres up to date; that of a SQLite file always is
}

// Store keeps jobs, runs, events and sandboxes in SQL. Its methods may be called by any number of goroutines.
type Store struct {
	reads  reads
	writes *writer
	lock   *fileLock // of a SQLite file
	news   atomic.Pointer[News]

	reserving  sync.Mutex // held while a claim reserves a sandbox
	statistics statistics
}

// ErrLocked says that another process has the database open.
var ErrLocked = errors.New("the database is in use")

// Open opens the database at url.
//
// "sqlite:PATH" is a file, made when absent, locked for this process until Close (ErrLocked names the process that has
// it) and brought up to date. "postgres://…" is a server that any number of processes share; unless o.Migrate says so,
// its schema is left alone, and one that is older than this program knows is ErrSchemaOld. A newer one is fine, unless
// it lacks what this program needs: ErrSchemaNew. Errors of a server that is
// away are Away.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	s := &Store{}
	s.SetNews(o.News)
	o.Log = cmp.Or(o.Log, slog.Default())
	path, file := strings.CutPrefix(url, "sqlite:")
	var err error
	switch {
	case file && path != "":
		if err = s.openSQLite(ctx, path, o); err != nil {
			err = fmt.Errorf("open database %s: %w", path, err)
		}
	case isPostgres(url):
		if err = s.openPostgres(ctx, url, o); err != nil {
			err = fmt.Errorf("open database: %w", err)
		}
	default:
		err = errors.New(`open database: the URL must be "sqlite:PATH" or "postgres://…"`)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

func (s *Store) openSQLite(ctx context.Context, path string, o Options) error {
	path, err := resolve(path)
	if err != nil {
		return err
	}
	if s.lock, err = lockFile(path + ".lock"); err != nil {
		return err
	}
	if err := touch(path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", sqliteDSN(path, writerPragmas))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	steps, err := sqliteSchema(db)
	if err == nil {
		err = steps.bringUp(ctx, true, o.Log)
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	engine, err := newSQLiteEngine(ctx, db)
	s.writes = newWriter(engine)
	s.writes.committed = o.Committed
	if err != nil {
		return err
	}
	readers, err := sql.Open("sqlite", sqliteDSN(path, readerPragmas))
	if err != nil {
		return err
	}
	readers.SetMaxOpenConns(maxReaders)
	readers.SetMaxIdleConns(maxReaders)
	s.reads = newSQLiteReads(readers)
	return nil
}

func (s *Store) openPostgres(ctx context.Context, url string, o Options) error {
	if err := upPostgres(ctx, url, o); err != nil {
		return err
	}
	writes, reads, err := openPools(ctx, url)
	if err != nil {
		return err
	}
	engine := newPgEngine(writes, postgresWords)
	s.writes = newWriter(engine)
	s.writes.committed = o.Committed
	s.reads = pgReader{reads, postgresWords} // closed with the store whatever comes
	if engine.base, err = s.positionBase(ctx); err != nil {
		return err
	}
	s.reads = pgReader{reads, postgresWords.with(settledWords(engine.base)...)}
	return nil
}

// SetNews changes who hears of what was committed; nil is silence.
func (s *Store) SetNews(n News) {
	if n == nil {
		s.news.Store(nil)
		return
	}
	s.news.Store(&n)
}

// Close waits for the writes that have begun, closes the database and gives its lock back. Twice does no harm.
func (s *Store) Close() error {
	var errs []error
	if s.reads != nil {
		errs = append(errs, s.reads.close())
	}
	if s.writes != nil {
		errs = append(errs, s.writes.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
}

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.reads.row(ctx, `SELECT 1`).Scan(&one); err != nil {
		return fmt.Errorf("ping database: %w", err)
	}
	return nil
}

// resolve gives one name to one file, so that two paths to it meet at one lock.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(path)), nil
}

// touch makes the file readable by its owner only, because it will hold people's prompts. SQLite gives the same
// mode to the files beside it.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
