package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// TestNobodyWaitsForTheJobOfAnother: somebody else's transaction has two jobs. Their claims wait for it, and who shares a
// transaction with them does not: no write of it is undone and run again.
func TestNobodyWaitsForTheJobOfAnother(t *testing.T) {
	url := Prepared(t)
	s := process(t, url)
	jobs := []string{queuedJob(t, s), queuedJob(t, s)}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	foreign, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := foreign.Exec(t.Context(), `SELECT 1 FROM jobs WHERE id = ANY ($1) FOR UPDATE`, jobs); err != nil {
		t.Fatal(err)
	}

	var first, claims, others errgroup.Group
	var releases []func()
	for i := range pgGroups {
		releases = append(releases, heldAs(t, s, &first, fmt.Sprint("held", i)))
	}
	for _, id := range jobs {
		claims.Go(func() error {
			_, err := s.Claim(t.Context(), Claim{JobID: id, Worker: "w", Lease: time.Minute})
			return err
		})
	}
	const n = 10
	var tries atomic.Int64
	for i := range n {
		others.Go(func() error {
			return s.write(t.Context(), nil, func(ctx context.Context, w *tx) error {
				tries.Add(1)
				return set(ctx, w, fmt.Sprint("other", i))
			})
		})
	}
	waiting(t, s, len(jobs)+n)
	for _, release := range releases {
		release()
	}
	if err := others.Wait(); err != nil {
		t.Error(err)
	}
	if got := tries.Load(); got != n {
		t.Errorf("%d writes were tried %d times", n, got)
	}
	if err := foreign.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	if err := claims.Wait(); err != nil {
		t.Errorf("a claim that had to wait: %v", err)
	}
	if err := first.Wait(); err != nil {
		t.Error(err)
	}
}
