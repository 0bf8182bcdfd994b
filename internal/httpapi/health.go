package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// Check is something that this process needs to do its work.
type Check struct {
	Name     string
	Required bool   // true: not ready without it; false: degraded
	Away     string // what a reader is told when Probe fails, for everybody's eyes; "" means "away"
	Probe    func(ctx context.Context) error
}

// health is the answer of /healthz and /readyz. Checks has "ok", or what is wrong, in our own words: an error's text
// may name places that are nobody's business, and stays in the log.
type health struct {
	Status string            `json:"status"` // ok, degraded, unavailable or draining
	Checks map[string]string `json:"checks,omitempty"`
}

// healthz says that the process runs; it asks nobody.
func (s *Server) healthz(c echo.Context) error { return c.JSON(http.StatusOK, health{Status: "ok"}) }

// readyz says whether this process can do its work: 503 when something that it must have is away.
func (s *Server) readyz(c echo.Context) error {
	if s.draining.Err() != nil {
		return c.JSON(http.StatusServiceUnavailable, health{Status: "draining"})
	}
	h := health{Status: "ok", Checks: map[string]string{}}
	for i, err := range s.probe(c.Request().Context()) {
		check := s.Checks[i]
		switch {
		case err == nil:
			h.Checks[check.Name] = "ok"
			continue
		case check.Required:
			h.Status = "unavailable"
		case h.Status == "ok":
			h.Status = "degraded"
		}
		h.Checks[check.Name] = cmp.Or(check.Away, "away")
		s.log.DebugContext(c.Request().Context(), "check failed", "check", check.Name, "err", err)
	}
	if h.Status == "unavailable" {
		return c.JSON(http.StatusServiceUnavailable, h)
	}
	return c.JSON(http.StatusOK, h)
}

// probe runs every check at once, each for a second at most.
func (s *Server) probe(ctx context.Context) []error {
	ctx, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	found := make([]error, len(s.Checks))
	var all sync.WaitGroup
	for i, check := range s.Checks {
		all.Go(func() { found[i] = check.Probe(ctx) })
	}
	all.Wait()
	return found
}
