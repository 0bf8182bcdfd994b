package boot

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"sandpiper/internal/localdaytona"
)

// Stopped says what Stop ended.
type Stopped struct {
	Up        bool // a running `sandpiper up`
	Sandboxes int
	Model     bool
}

// Stop ends everything that works in a data directory: the up, if one runs, every sandbox with whatever runs in
// it, and the offline model. What was running is not lost track of: the next up looks into it.
func Stop(_ context.Context, data string) (Stopped, error) {
	var s Stopped
	var faults []error
	var up process
	faults = append(faults, kept{filepath.Join(data, "up.json")}.read(&up))
	if s.Up = up.alive(); s.Up {
		if err := up.end(20 * time.Second); err != nil {
			faults = append(faults, fmt.Errorf("end up: %w", err))
		}
	}
	n, err := localdaytona.StopAll(localDir(data))
	if s.Sandboxes = n; err != nil {
		faults = append(faults, fmt.Errorf("stop sandboxes: %w", err))
	}
	if s.Model, err = stopModel(data); err != nil {
		faults = append(faults, fmt.Errorf("stop the offline model: %w", err))
	}
	return s, errors.Join(faults...)
}
