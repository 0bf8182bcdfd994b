package run

import (
	"context"
	_ "embed" // the script
	"fmt"
	"time"
)

//go:embed sh/prune.sh
var pruneOnly string

var pruneScript = oneShot(&pruneOnly)

// leastKept is longer than any run lasts: a directory that is older belongs to none that goes on.
const leastKept = 24 * time.Hour

// Prune deletes the directories of runs that were begun longer ago than keep, a day at least, and counts them. The newest
// run stays, and the markers of all do: a run without its directory is unknown, and never one that was not launched. Call it
// when no run of the sandbox is open in SQL, for what is deleted is evidence.
func Prune(ctx context.Context, box Box, keep time.Duration) (deleted int, err error) {
	text, err := ask(ctx, box, pruneScript(), time.Minute, "prune", int64(max(keep, leastKept).Minutes()))
	if err == nil {
		_, err = fmt.Sscanf(text, "sandpiper-prune %d", &deleted)
	}
	if err != nil {
		return deleted, fmt.Errorf("prune old runs: %w", err)
	}
	return deleted, nil
}
