package store

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

var errTODO = errors.New("not written yet")

type News interface {
	Publish(ctx context.Context, n job.News)
}
type Options struct {
	News News
	Log  *slog.Logger
}
type Store struct{}

var ErrLocked = errors.New("another process has the database")

func Open(ctx context.Context, url string, o Options) (*Store, error) { return nil, errTODO }
func (s *Store) SetNews(n News)                                       {}
func (s *Store) Close() error                                         { return nil }
func (s *Store) Ping(ctx context.Context) error                       { return errTODO }
func (s *Store) Submit(ctx context.Context, c auth.Caller, j job.Job, k Key) (job.Job, bool, error) {
	return job.Job{}, false, errTODO
}

func (s *Store) Job(ctx context.Context, c auth.Caller, id string) (job.Job, error) {
	return job.Job{}, errTODO
}

func (s *Store) Jobs(ctx context.Context, c auth.Caller, f JobFilter) (items []job.Job, next string, err error) {
	return nil, "", errTODO
}

func (s *Store) Events(ctx context.Context, c auth.Caller, jobID string, after int64, limit int) ([]job.Event, error) {
	return nil, errTODO
}

func (s *Store) Stream(ctx context.Context, c auth.Caller, sc Scope, after int64, limit int) ([]job.Event, error) {
	return nil, errTODO
}
func (s *Store) Head(ctx context.Context) (int64, error) { return 0, errTODO }
func EncodeCursor(position int64) string                 { return "" }
func DecodeCursor(cursor string) (int64, error)          { return 0, errTODO }
func (s *Store) Cancel(ctx context.Context, c auth.Caller, id string) (job.Job, error) {
	return job.Job{}, errTODO
}

func (s *Store) Overdue(ctx context.Context, age time.Duration, limit int) ([]job.Hint, error) {
	return nil, errTODO
}
func (s *Store) Due(ctx context.Context, limit int) ([]job.Hint, error)  { return nil, errTODO }
func (s *Store) Lapsed(ctx context.Context, limit int) ([]string, error) { return nil, errTODO }
func (s *Store) Claim(ctx context.Context, q Claim) (Claimed, error) { return Claimed{}, errTODO }

func (s *Store) Beat(ctx context.Context, worker string, held []job.Attempt, lease time.Duration) (Beat, error) {
	return Beat{}, errTODO
}
func (s *Store) VoidLeases(ctx context.Context) (int, error) { return 0, errTODO }
func (s *Store) Append(ctx context.Context, a job.Attempt, b Batch) (int64, error) {
	return 0, errTODO
}
func (s *Store) Intend(ctx context.Context, a job.Attempt, r job.Run) error { return errTODO }
func (s *Store) MarkLaunched(ctx context.Context, a job.Attempt, runID string) error {
	return errTODO
}
func (s *Store) EndRun(ctx context.Context, a job.Attempt, runID string) error { return errTODO }
func (s *Store) Requeue(ctx context.Context, a job.Attempt, afterSeq int64, q Requeue) error {
	return errTODO
}

func (s *Store) Finish(ctx context.Context, a job.Attempt, o job.Outcome, afterSeq int64) error {
	return errTODO
}

func (s *Store) AddSandbox(ctx context.Context, c auth.Caller, sb job.Sandbox) (job.Sandbox, error) {
	return job.Sandbox{}, errTODO
}

func (s *Store) Sandbox(ctx context.Context, c auth.Caller, id string) (job.Sandbox, error) {
	return job.Sandbox{}, errTODO
}

func (s *Store) Sandboxes(ctx context.Context, c auth.Caller, limit int) ([]job.Sandbox, error) {
	return nil, errTODO
}

func (s *Store) SandboxesToCreate(ctx context.Context, worker string, lease time.Duration, limit int) ([]job.Sandbox, error) {
	return nil, errTODO
}
func (s *Store) SandboxReady(ctx context.Context, id, platformID string) error { return errTODO }
func (s *Store) SandboxGone(ctx context.Context, id, reason string) error      { return errTODO }
func (s *Store) SandboxCleanup(ctx context.Context, id, reason string) error   { return errTODO }
func (s *Store) SandboxesToDelete(ctx context.Context, limit int) ([]job.Sandbox, error) {
	return nil, errTODO
}

func (s *Store) HoldTurn(ctx context.Context, turn, holder string, d time.Duration) (bool, error) {
	return false, errTODO
}
func (s *Store) Installation(ctx context.Context) (string, error)        { return "", errTODO }
func (s *Store) Snapshot(ctx context.Context) (string, error)            { return "", errTODO }
func (s *Store) SetSnapshot(ctx context.Context, name string) error      { return errTODO }
func (s *Store) Running(ctx context.Context) (int, error)                { return 0, errTODO }
func (s *Store) Counts(ctx context.Context) (map[job.State]int64, error) { return nil, errTODO }
