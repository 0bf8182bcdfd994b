package boot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sandpiper/internal/localdaytona"
)

// Stopped says what Stop ended.
type Stopped struct {
	Up        bool // a running `sandpiper up`
	Daytona   bool // a running `sandpiper daytona`
	Sandboxes int
	Model     bool
}

// Stop ends everything that works in a data directory: the up or the local Daytona, if one runs, every sandbox with
// whatever runs in it, and the offline model. What was running is not lost track of: the next up looks into it.
func Stop(_ context.Context, data string) (Stopped, error) {
	var s Stopped
	var faults []error
	for _, part := range []struct {
		name  string
		ended *bool
	}{{"up", &s.Up}, {"daytona", &s.Daytona}} { // an up holds both, and has let go of the second by then
		var who process
		faults = append(faults, holder(data, part.name).read(&who))
		if *part.ended = who.alive(); *part.ended {
			if err := who.end(20 * time.Second); err != nil {
				faults = append(faults, fmt.Errorf("end %s: %w", part.name, err))
			}
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
