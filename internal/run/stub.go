package run

import (
	"context"
	"errors"
	"time"

	"sandpiper/internal/job"
)

var errNotYet = errors.New("not built yet")

// Start uploads and launches a run.
func Start(ctx context.Context, box Box, l Launch) (Started, error) { return Started{}, errNotYet }

// Follow waits for output.
func Follow(ctx context.Context, box Box, runID string, offset int64, wait time.Duration) (Chunk, error) {
	return Chunk{}, errNotYet
}

// Look says what became of a run.
func Look(ctx context.Context, box Box, runID string, phase job.Phase) (Evidence, error) {
	return Evidence{}, errNotYet
}

// Stop ends a run and everything it started.
func Stop(ctx context.Context, box Box, runID string, grace time.Duration) error { return errNotYet }
