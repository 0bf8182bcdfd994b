package run

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Stop ends a run and everything it started: SIGTERM to the command, SIGKILL after the grace, then to all that
// remains, until two scans find nothing. ErrStillRunning means that this did not succeed. A run that was not launched yet
// cannot be launched afterwards. ErrTaken means that a newer attempt has taken the run over, before or meanwhile: it
// decides. It may be called again, for a run that is over too; what the run has written stays.
//
// Where the sandbox has a process table of its own, or its daemon is the parent of all orphans, nothing hides: the set is
// everything below the daemon that is not older than the run. Where the daemon cannot be recognised the set is what carries
// the run's mark, and its descendants; never anything else, for it could be a stranger's.
func Stop(ctx context.Context, box Box, runID string, attempt int64, grace time.Duration) error {
	if !validID(runID) {
		return fmt.Errorf("stop run %s: bad run id", runID)
	}
	text, err := ask(ctx, box, stopScript(), grace, runID, max(0, grace.Milliseconds()), attempt)
	if err != nil {
		return fmt.Errorf("stop run %s: %w", runID, err)
	}
	switch left, still := strings.CutPrefix(text, "sandpiper-stop left "); {
	case text == "sandpiper-stop stopped":
		return nil
	case text == "sandpiper-stop lost":
		return fmt.Errorf("stop run %s: %w", runID, ErrTaken)
	case still:
		return fmt.Errorf("stop run %s: %w: %s", runID, ErrStillRunning, left)
	default:
		return fmt.Errorf("stop run %s: %w: %q", runID, errNoAnswer, clip(text))
	}
}
