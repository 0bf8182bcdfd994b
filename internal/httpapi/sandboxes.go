package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/relay"
	"sandpiper/internal/store"
)

// created is the answer to sandbox/create, in the shape that its clients know: createdAt is Unix milliseconds.
type created struct {
	SandboxID string `json:"sandboxId"`
	UserID    string `json:"userId"`
	Status    string `json:"status"`
	CreatedAt int64  `json:"createdAt"`
}

// createSandbox adds a sandbox and waits for a worker to make it: 201 when it is ready, 202 when that takes longer.
func (s *Server) createSandbox(c echo.Context) error {
	raw, err := s.body(c)
	if err != nil {
		return err
	}
	userID, err := decodeUser(raw, identityOf(c).UserID)
	if err != nil {
		return err
	}
	caller, err := callerOf(c, userID, inBody)
	if err != nil {
		return err
	}
	leave, err := s.hold(c, caller) // it may wait for long
	if err != nil {
		return err
	}
	defer leave()
	key, err := keyOf(c.Request().Header, caller, "create a sandbox", nil)
	if err != nil {
		return err
	}
	// What it is made of, its maker knows.
	sb, first, replayed, err := s.Sandboxes.AddSandboxOnce(c.Request().Context(), caller, job.Sandbox{ID: job.NewSandboxID()}, key, s.o.Limits)
	if err != nil {
		return err
	}
	if replayed {
		c.Response().Header().Set("Idempotent-Replayed", "true")
	}
	if first.Status != 0 {
		return c.JSONBlob(first.Status, first.Body)
	}
	if sb, err = s.made(c, caller, sb); err != nil {
		return err // and kept nowhere: it is so for good, and is said again
	}
	return s.sayCreated(c, sb, key)
}

// sayCreated answers that there is a sandbox. With a key the answer is kept first: what becomes of the sandbox later is not
// what its creation was answered with.
func (s *Server) sayCreated(c echo.Context, sb job.Sandbox, key store.Key) error {
	status := http.StatusCreated
	if sb.State == job.SandboxCreating {
		status = http.StatusAccepted
	}
	body, err := json.Marshal(created{sb.ID, sb.UserID, statusOf(sb), sb.CreatedAt.UnixMilli()})
	if err != nil {
		return err
	}
	a := store.Answer{Status: status, Body: append(body, '\n')}
	if key.Name != "" {
		if a, err = s.Sandboxes.KeepAnswer(c.Request().Context(), sb.Tenant, sb.UserID, key, a); err != nil {
			return err
		}
	}
	return c.JSONBlob(a.Status, a.Body)
}

// made returns a sandbox that was added when it is ready, or still being made when the time is up.
func (s *Server) made(c echo.Context, caller auth.Caller, sb job.Sandbox) (job.Sandbox, error) {
	ctx := c.Request().Context()
	wake, stop := s.Relay.Watch(relay.SandboxOf(sb.ID)) // before the first look: nothing comes between
	defer stop()
	err := s.until(c, s.o.CreateWait, wake, func() (bool, error) {
		now, err := s.Sandboxes.Sandbox(ctx, caller, sb.ID)
		if errors.Is(err, job.ErrSandboxNotFound) {
			return true, errNotCreated
		}
		if err != nil {
			return true, err
		}
		sb = now
		if sb.State == job.SandboxCleanup || sb.State == job.SandboxGone {
			return true, errors.Join(errNotCreated, reasonOf(sb))
		}
		return sb.State == job.SandboxReady, nil
	})
	return sb, err
}

// reasonOf tells the client why its sandbox was not made, when that is known.
func reasonOf(sb job.Sandbox) error {
	if sb.Reason == "" {
		return nil
	}
	return job.FieldError{Pointer: "", Must: sb.Reason}
}

// sandboxView is a sandbox in a list.
type sandboxView struct {
	SandboxID  string `json:"sandboxId"`
	UserID     string `json:"userId"`
	Status     string `json:"status"` // creating, ready, busy, cleanup or gone
	JobID      any    `json:"jobId"`  // the job that it runs
	Snapshot   any    `json:"snapshot"`
	Reason     any    `json:"reason"`
	CreatedAt  any    `json:"createdAt"`
	LastUsedAt any    `json:"lastUsedAt"`
}

// listSandboxes shows the caller's sandboxes.
func (s *Server) listSandboxes(c echo.Context) error {
	q := queryOf(c)
	limit := q.whole("limit", 50, 1, 200)
	caller, err := q.caller(c)
	if err != nil {
		return err
	}
	all, err := s.Sandboxes.Sandboxes(c.Request().Context(), caller, int(limit))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, pageOf(all, sandboxViewOf, nil))
}

// deleteSandbox gives a sandbox up and waits for a worker to delete it: 200 when it is gone, 202 when that takes longer.
// From the first moment no job gets it any more.
func (s *Server) deleteSandbox(c echo.Context) error {
	caller, err := queryOf(c).caller(c)
	if err != nil {
		return err
	}
	leave, err := s.hold(c, caller) // it may wait for long
	if err != nil {
		return err
	}
	defer leave()
	ctx, id := c.Request().Context(), c.Param("id")
	wake, stop := s.Relay.Watch(relay.SandboxOf(id)) // before it is given up: nothing comes between
	defer stop()
	sb, err := s.Sandboxes.DeleteSandbox(ctx, caller, id, "deleted by its user")
	if err != nil {
		return err
	}
	err = s.until(c, s.o.CreateWait, wake, func() (bool, error) {
		now, err := s.Sandboxes.Sandbox(ctx, caller, id)
		if err == nil {
			sb = now
		}
		return sb.State == job.SandboxGone, err
	})
	if err != nil {
		return err
	}
	status := http.StatusAccepted
	if sb.State == job.SandboxGone {
		status = http.StatusOK
	}
	return c.JSON(status, sandboxViewOf(sb))
}

func sandboxViewOf(sb job.Sandbox) sandboxView {
	return sandboxView{
		SandboxID: sb.ID, UserID: sb.UserID, Status: statusOf(sb), JobID: orNull(sb.BusyJob),
		Snapshot: orNull(sb.Snapshot), Reason: orNull(sb.Reason),
		CreatedAt: stamp(sb.CreatedAt), LastUsedAt: stamp(sb.LastUsedAt),
	}
}

func statusOf(sb job.Sandbox) string {
	if sb.State == job.SandboxReady && sb.BusyJob != "" {
		return "busy"
	}
	return string(sb.State)
}
