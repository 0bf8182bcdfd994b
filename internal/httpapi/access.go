package httpapi

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
)

// access is the middleware that logs each request once, at debug level, when it is over: a WebSocket's line comes
// when it closes. The route stands in it, never the address: a query may hold what is nobody's business.
func (s *Server) access(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !s.log.Enabled(c.Request().Context(), slog.LevelDebug) {
			return next(c)
		}
		began, who := time.Now(), &asker{}
		c.SetRequest(c.Request().WithContext(context.WithValue(c.Request().Context(), askerKey{}, who)))
		if err := next(c); err != nil {
			c.Error(err) // the answer is written here, so that its status is known
		}
		s.log.DebugContext(c.Request().Context(), "request served", append([]any{
			"requestId", requestID(c), "method", c.Request().Method, "route", c.Path(), "status", c.Response().Status,
			"bytes", c.Response().Size, "tookMs", time.Since(began).Milliseconds(),
		}, who.attributes(c)...)...)
		return nil
	}
}

// asker is filled in when it is known who sends a request.
type asker struct {
	who    auth.Identity
	caller auth.Caller
}

type askerKey struct{}

// attributes name the key, the user and the job of a request, as far as they are known.
func (a *asker) attributes(c echo.Context) (more []any) {
	if a.who.Name != "" && a.who != auth.Local() {
		more = append(more, "key", a.who.Name)
	}
	if a.who.Tenant != "" {
		more = append(more, "tenant", a.who.Tenant)
	}
	if a.caller.UserID != "" {
		more = append(more, "userId", a.caller.UserID)
	}
	id := c.Param("id")
	if id == "" { // a submission's answer says where the job is
		id = strings.TrimPrefix(c.Response().Header().Get(echo.HeaderLocation), "/api/jobs/")
	}
	if strings.HasPrefix(id, "job_") && isID(id) {
		more = append(more, "jobId", id)
	}
	return more
}

// note tells the line of the log more about who asks.
func note(c echo.Context, more func(*asker)) {
	if a, ok := c.Request().Context().Value(askerKey{}).(*asker); ok {
		more(a)
	}
}
