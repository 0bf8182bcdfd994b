package cli

import (
	"context"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"sandpiper/client"
)

// Jobs lists jobs, newest first.
type Jobs struct {
	API    *client.Client
	State  client.State
	User   string
	Batch  string
	Limit  int  // jobs in all, over as many pages as that takes
	JSON   bool // one job a line instead of the table
	Out    io.Writer
	Screen *Screen // only for its colours: a list is what was asked for, so it goes to Out
}

// page is how many jobs one call may ask for.
const page = 200

// List prints them.
func (l Jobs) List(ctx context.Context) error {
	found, err := l.read(ctx)
	if err != nil {
		return err
	}
	if l.JSON {
		for _, j := range found {
			if err := writeJSON(l.Out, viewOf(j)); err != nil {
				return err
			}
		}
		return nil
	}
	now := time.Now()
	rows := [][]cell{heads("JOB", "STATE", "AGE", "USER", "MODEL", "COST")}
	for _, j := range found {
		rows = append(rows, []cell{
			{j.JobID, plain},
			{string(j.State), statePaint(j.State)},
			{age(now.Sub(j.Timings.CreatedAt)), plain},
			{oneLine(j.UserID), plain},
			{j.Model, plain},
			{money(j.CostUSD), plain},
		})
	}
	return l.Screen.table(l.Out, rows)
}

func (l Jobs) read(ctx context.Context) (found []client.Job, err error) {
	q := client.JobsQuery{State: l.State, UserID: l.User, BatchID: l.Batch}
	for len(found) < l.Limit {
		q.Limit = min(page, l.Limit-len(found))
		p, err := l.API.Jobs(ctx, q)
		if err != nil {
			return nil, err
		}
		found = append(found, p.Items...)
		if q.Cursor = p.Next; q.Cursor == "" {
			break
		}
	}
	return found, nil
}

func statePaint(s client.State) paint {
	switch s {
	case client.Succeeded:
		return green
	case client.Failed, client.OutcomeUnknown:
		return red
	case client.Running:
		return amber
	}
	return plain
}

// cell is one field of a table.
type cell struct {
	text  string
	paint paint
}

func heads(names ...string) []cell {
	row := make([]cell, len(names))
	for i, n := range names {
		row[i] = cell{n, dim}
	}
	return row
}

// table prints rows with columns as wide as their widest cell.
func (s *Screen) table(w io.Writer, rows [][]cell) error {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, c := range row {
			b.WriteString(s.paint(c.paint, c.text))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
