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
}

// Store keeps jobs, runs, events and sandboxes in SQL. Its methods may be called by any number of goroutines.
type Store struct {
	engine dialect
	reads  *reader
	writes *writer
	lock   *fileLock
	news   atomic.Pointer[News]
}

// ErrLocked says that another process has the database open.
var ErrLocked = errors.New("the database is in use")

// Open opens the database at url ("sqlite:PATH"), makes it when absent and brings its schema up to date. A SQLite
// file is locked for this process until Close; ErrLocked names the process that has it.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok || path == "" {
		return nil, errors.New(`open database: the URL must be "sqlite:PATH"`)
	}
	s := &Store{engine: sqlite}
	s.SetNews(o.News)
	if err := s.openSQLite(ctx, path, cmp.Or(o.Log, slog.Default()), o.Committed); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), s.Close())
	}
	return s, nil
}

func (s *Store) openSQLite(ctx context.Context, path string, log *slog.Logger, committed func(int, time.Duration)) error {
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
	s.writes = newWriter(db, s.engine)
	s.writes.committed = committed
	if err := migrate(ctx, db, log); err != nil {
		return err
	}
	if err := s.writes.connect(ctx); err != nil {
		return err
	}
	readers, err := sql.Open("sqlite", sqliteDSN(path, readerPragmas))
	if err != nil {
		return err
	}
	readers.SetMaxOpenConns(maxReaders)
	readers.SetMaxIdleConns(maxReaders)
	s.reads = newReader(readers, s.engine)
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
