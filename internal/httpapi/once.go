package httpapi

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
	"sandpiper/internal/store"
)

// once answers a request that does no harm twice. With an Idempotency-Key it is answered as it was at first, whatever
// became of its object since; what is refused is kept nowhere. deed tells it from every other request with a key, jobID is
// the job that it is about, "" for none. Where the process dies between the deed and the answer, the next request is
// the first one.
func (s *Server) once(c echo.Context, caller auth.Caller, deed, jobID string, do func() (view any, err error)) error {
	ctx := c.Request().Context()
	key, err := keyOf(c.Request().Header, caller, deed, nil)
	if err != nil {
		return err
	}
	if key.Name != "" {
		first, err := s.Answers.Answered(ctx, caller.Tenant, caller.UserID, key)
		if err != nil {
			return err
		}
		if first.Status != 0 {
			c.Response().Header().Set("Idempotent-Replayed", "true")
			return c.JSONBlob(first.Status, first.Body)
		}
	}
	view, err := do()
	if err != nil || key.Name == "" {
		return orJSON(c, view, err)
	}
	body, err := json.Marshal(view)
	if err != nil {
		return err
	}
	a := store.Answer{Status: http.StatusOK, Body: append(body, '\n')}
	if a, err = s.Answers.AnswerOnce(ctx, caller.Tenant, caller.UserID, key, jobID, a); err != nil {
		return err
	}
	return c.JSONBlob(a.Status, a.Body)
}

func orJSON(c echo.Context, view any, err error) error {
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, view)
}
