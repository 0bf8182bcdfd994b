package httpapi

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/job"
)

// laneView is a lane as operators see it. key is the fingerprint that the metrics have too; the key itself is nowhere.
type laneView struct {
	LaneID  string        `json:"laneId"`
	Key     string        `json:"key"`
	Model   string        `json:"model"`
	State   job.LaneState `json:"state"`
	Code    any           `json:"code"`
	Reason  any           `json:"reason"`
	Since   any           `json:"since"`
	Until   any           `json:"until"`   // paused: when it is tried again
	Allowed *int          `json:"allowed"` // how many jobs may run at once; null: as many as there are slots
	Running int           `json:"running"`
	Waiting int           `json:"waiting"` // queued jobs that wait for the model
}

// lanes lists the lanes in which something runs, or in which something ever went wrong.
func (s *Server) lanes(c echo.Context) error {
	if _, err := queryOf(c).caller(c); err != nil {
		return err
	}
	all, err := s.Lanes.Lanes(c.Request().Context())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, pageOf(all, laneViewOf, nil))
}

// clearLane lets one job try a lane that is parked or paused. Asking twice does no harm, but with a key it is
// answered as it was: a repeated request does not open a lane that was parked again meanwhile.
func (s *Server) clearLane(c echo.Context) error {
	caller, err := queryOf(c).caller(c)
	if err != nil {
		return err
	}
	id := c.Param("id")
	return s.once(c, caller, "clear lane "+id, "", func() (any, error) { return s.clear(c.Request().Context(), id) })
}

func (s *Server) clear(ctx context.Context, id string) (view any, err error) {
	l, err := s.Lanes.ClearLane(ctx, id)
	if err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, "lane cleared", "lane", l.Public(), "model", l.Model, "state", l.State)
	all, err := s.Lanes.Lanes(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if v.LaneID == l.LaneID {
			return laneViewOf(v), nil
		}
	}
	return nil, job.ErrLaneNotFound
}

func laneViewOf(l job.LaneView) laneView {
	v := laneView{
		LaneID: l.Public(), Key: l.Key, Model: l.Model, State: l.State, Code: orNull(string(l.Code)), Reason: orNull(l.Reason),
		Since: stamp(l.Since), Until: stamp(l.Until), Running: l.Running, Waiting: l.Waiting,
	}
	if l.State != job.LaneOpen {
		v.Allowed = &l.Allowed
	}
	return v
}
