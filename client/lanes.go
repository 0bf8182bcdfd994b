package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Lane is the way of one key of the model API to one model, as operators see it.
type Lane struct {
	LaneID  string    `json:"laneId"`
	Key     string    `json:"key"` // a fingerprint: it tells keys apart, and nothing of them
	Model   string    `json:"model"`
	State   string    `json:"state"` // "open", "paused" (until Until), "probing" (Allowed jobs at once) or "parked" (until it is cleared)
	Code    string    `json:"code"`  // of the failure that closed it
	Reason  string    `json:"reason"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	Allowed *int      `json:"allowed"` // how many jobs may run at once; nil is no limit
	Running int       `json:"running"`
	Waiting int       `json:"waiting"` // queued jobs that wait for the model
}

// Lanes lists the lanes in which something runs, or in which something ever went wrong. It needs the scope ops.
func (c *Client) Lanes(ctx context.Context) ([]Lane, error) {
	var p struct {
		Items []Lane `json:"items"`
	}
	if err := c.do(ctx, call{method: http.MethodGet, path: "/api/lanes", repeatable: true}, &p); err != nil {
		return nil, fmt.Errorf("list lanes: %w", err)
	}
	return p.Items, nil
}

// ClearLane lets jobs into a lane that is parked or paused, one at first. It needs the scope ops; asking twice does no harm.
func (c *Client) ClearLane(ctx context.Context, id string) (Lane, error) {
	var l Lane
	path := "/api/lanes/" + url.PathEscape(id) + "/clear"
	if err := c.do(ctx, call{method: http.MethodPost, path: path, repeatable: true}, &l); err != nil {
		return Lane{}, fmt.Errorf("clear lane %s: %w", id, err)
	}
	return l, nil
}
