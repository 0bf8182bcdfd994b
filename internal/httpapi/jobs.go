package httpapi

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/relay"
	"sandpiper/internal/store"
)

type accepted struct {
	JobID    string `json:"jobId"`
	Accepted bool   `json:"accepted"`
}

// process takes a prompt. It answers 202 once the job is kept; a repeated Idempotency-Key gets the first answer.
func (s *Server) process(c echo.Context) error {
	raw, err := s.body(c)
	if err != nil {
		return err
	}
	sub, err := decodeSubmission(raw, identityOf(c).UserID)
	if err != nil {
		return err
	}
	caller, err := callerOf(c, sub.userID, inBody)
	if err != nil {
		return err
	}
	key, err := keyOf(c.Request().Header, caller, "", sub.body)
	if err != nil {
		return err
	}
	j, replayed, err := s.Jobs.Submit(c.Request().Context(), caller, sub.spec, key)
	return accept(c, j, replayed, err)
}

// retry runs a job that has ended again, as a new one. It is answered like a prompt.
func (s *Server) retry(c echo.Context) error {
	q := queryOf(c)
	if err := s.namedInBody(c, q); err != nil {
		return err
	}
	caller, id, err := s.asksFor(c, q)
	if err != nil {
		return err
	}
	key, err := keyOf(c.Request().Header, caller, "retry "+id, nil)
	if err != nil {
		return err
	}
	j, replayed, err := s.Jobs.Retry(c.Request().Context(), caller, id, key)
	return accept(c, j, replayed, err)
}

// accept answers that a job is kept. The answer is the same however often it is given.
func accept(c echo.Context, j job.Job, replayed bool, err error) error {
	if err != nil {
		return err
	}
	if replayed {
		c.Response().Header().Set("Idempotent-Replayed", "true")
	}
	c.Response().Header().Set(echo.HeaderLocation, "/api/jobs/"+j.ID)
	return c.JSON(http.StatusAccepted, accepted{j.ID, true})
}

// jobs lists what the caller may see, newest first.
func (s *Server) jobs(c echo.Context) error {
	q := queryOf(c)
	f := store.JobFilter{
		State: q.state(), BatchID: q.id("batchId"), UserID: q.userID(),
		Limit: int(q.whole("limit", 50, 1, 200)), Cursor: q.values.Get("cursor"),
	}
	caller, err := q.caller(c)
	if err != nil {
		return err
	}
	jobs, next, err := s.Reads.Jobs(c.Request().Context(), caller, f)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, pageOf(jobs, viewOf, orNull(next)))
}

// job shows one job, at once or when it has ended.
func (s *Server) job(c echo.Context) error {
	q := queryOf(c)
	wait := q.wait()
	caller, id, err := s.asksFor(c, q)
	if err != nil {
		return err
	}
	if wait > 0 {
		if err := s.untilEnded(c, caller, id, wait); err != nil {
			return err
		}
	}
	j, err := s.Reads.Job(c.Request().Context(), caller, id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, viewOf(j))
}

// untilEnded waits for a job's end. It looks at the state only: the prompt and the answer are read once, in the end.
func (s *Server) untilEnded(c echo.Context, caller auth.Caller, id string, wait time.Duration) error {
	leave, err := s.hold(c, caller)
	if err != nil {
		return err
	}
	defer leave()
	wake, stop := s.Relay.Watch(relay.EndOf(id)) // before the first look: nothing comes between
	defer stop()
	return s.until(c, wait, wake, func() (done bool, err error) {
		p, err := s.Reads.Progress(c.Request().Context(), caller, id)
		return p.State.Terminal(), err
	})
}

// cancel asks for a job's end. A running one shows cancelRequested until nothing of it is left. With a
// key the first answer is given again, also when the job has ended since.
func (s *Server) cancel(c echo.Context) error {
	q := queryOf(c)
	if err := s.namedInBody(c, q); err != nil {
		return err
	}
	caller, id, err := s.asksFor(c, q)
	if err != nil {
		return err
	}
	return s.once(c, caller, "cancel "+id, id, func() (any, error) {
		j, err := s.Jobs.Cancel(c.Request().Context(), caller, id)
		return viewOf(j), err
	})
}

// namedInBody lets the body of a request that needs none say who asks, as every other body does.
func (s *Server) namedInBody(c echo.Context, q *query) error {
	if !hasBody(c.Request()) {
		return nil
	}
	raw, err := s.body(c)
	if err != nil || len(raw) == 0 {
		return err
	}
	userID, err := decodeUser(raw, identityOf(c).UserID)
	if err != nil {
		return err
	}
	if q.values.Has("userId") && q.values.Get("userId") != userID {
		q.fail("userId", "must be the one in the body")
	}
	q.values.Set("userId", userID)
	q.namedAt = inBody
	return nil
}

// asksFor ends the taking of parameters of a route about one job: who asks, and for which.
func (s *Server) asksFor(c echo.Context, q *query) (auth.Caller, string, error) {
	caller, err := q.caller(c)
	if err != nil {
		return caller, "", err
	}
	id := c.Param("id")
	if !isID(id) {
		return caller, "", job.ErrNotFound
	}
	return caller, id, nil
}
