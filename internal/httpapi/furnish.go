package httpapi

import "github.com/labstack/echo/v4"

// Furnish gives the server what needs the database, once it is there: Jobs, Batches, Reads, Sandboxes, Lanes, Answers and Relay of d.
// Until then every route that needs them answers DATABASE_AWAY. It is called once, and only when New was given no Jobs.
func (s *Server) Furnish(d Deps) {
	s.Jobs, s.Batches, s.Reads, s.Sandboxes, s.Lanes, s.Answers, s.Relay = d.Jobs, d.Batches, d.Reads, d.Sandboxes, d.Lanes, d.Answers, d.Relay
	s.whole.Store(true) // whoever sees it sees the line above too
}

// furnished refuses requests that come too early.
func (s *Server) furnished(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !s.whole.Load() {
			return errAway
		}
		return next(c)
	}
}
