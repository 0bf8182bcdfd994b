package cli

import (
	"context"
	"io"
	"strconv"
	"time"

	"sandpiper/client"
)

// Lanes lists the lanes to the models.
type Lanes struct {
	API    *client.Client
	JSON   bool // one lane a line instead of the table
	Out    io.Writer
	Screen *Screen // only for its colours
}

// List prints them.
func (l Lanes) List(ctx context.Context) error {
	found, err := l.API.Lanes(ctx)
	if err != nil {
		return err
	}
	return l.print(found)
}

// Clear clears one lane and prints what became of it.
func (l Lanes) Clear(ctx context.Context, id string) error {
	one, err := l.API.ClearLane(ctx, id)
	if err != nil {
		return err
	}
	return l.print([]client.Lane{one})
}

func (l Lanes) print(found []client.Lane) error {
	if l.JSON {
		for _, one := range found {
			if err := writeJSON(l.Out, one); err != nil {
				return err
			}
		}
		return nil
	}
	now := time.Now()
	rows := [][]cell{heads("LANE", "KEY", "MODEL", "STATE", "RUNNING", "ALLOWED", "WAITING", "WHY")}
	for _, one := range found {
		allowed := "-"
		if one.Allowed != nil {
			allowed = strconv.Itoa(*one.Allowed)
		}
		rows = append(rows, []cell{
			{one.LaneID, plain},
			{one.Key, plain},
			{oneLine(one.Model), plain},
			{one.State, lanePaint(one.State)},
			{strconv.Itoa(one.Running), plain},
			{allowed, plain},
			{strconv.Itoa(one.Waiting), plain},
			{whyClosed(one, now), plain},
		})
	}
	return l.Screen.table(l.Out, rows)
}

// whyClosed says why a lane is closed and, where that is known, for how long.
func whyClosed(l client.Lane, now time.Time) string {
	why := oneLine(l.Reason)
	if left := l.Until.Sub(now); !l.Until.IsZero() && left > 0 {
		why += ", tried again in " + left.Round(time.Second).String()
	}
	return why
}

func lanePaint(state string) paint {
	switch state {
	case "open":
		return green
	case "parked":
		return red
	}
	return amber
}
