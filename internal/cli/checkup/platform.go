package checkup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sandpiper/internal/daytona"
)

// gone deletes a sandbox and waits until the platform says that it is destroyed, or on its way there.
func (p *place) gone(ctx context.Context, idOrName string) error {
	if err := p.platform.Delete(ctx, idOrName); err != nil {
		return fmt.Errorf("delete sandbox %s: %w", idOrName, err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		sb, err := p.platform.Get(ctx, idOrName)
		switch {
		case errors.Is(err, daytona.ErrNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("look whether sandbox %s is gone: %w", idOrName, err)
		case p.local == nil && (sb.State == daytona.StateDestroying || sb.State == daytona.StateDestroyed):
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("sandbox %s is still %s", idOrName, sb.State)
		case <-tick.C:
		}
	}
}
