package httpapi

import (
	"time"

	"github.com/labstack/echo/v4"
)

// until looks until something is done, at most for a while: at once, when woken, and now and then. It returns
// without an error when the time is up or the server drains: what was seen last is the answer then.
func (s *Server) until(c echo.Context, wait time.Duration, wake <-chan struct{}, look func() (done bool, err error)) error {
	ctx, stop := s.untilDrain(c)
	defer stop(nil)
	up := time.NewTimer(wait)
	defer up.Stop()
	tick := time.NewTicker(s.o.Poll)
	defer tick.Stop()
	for {
		if done, err := look(); done || err != nil || wait <= 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return c.Request().Context().Err()
		case <-up.C:
			wait = 0 // one last look
		case <-wake:
		case <-tick.C:
		}
	}
}
