package store

import "sandpiper/internal/job"

// MaxRead is how many bytes of text one read of events, or one page of jobs, holds: it ends with the item that
// reaches it, so a read always gets on. Without it a thousand long answers would be in memory for every reader.
const MaxRead = 4 << 20

// Cut reports whether a read of events ended at MaxRead: there may be more after it, though it is shorter than its
// limit.
func Cut(events []job.Event) bool {
	n := 0
	for _, e := range events {
		n += weigh(e)
	}
	return n >= MaxRead
}

func (e placed) weigh() int { return weigh(e.Event) }

// weigh is about what an event takes, in memory and on its way out.
func weigh(e job.Event) int { return 128 + len(e.Data) + len(e.Message) + len(e.Reason) }

// collectMost is collect that stops at MaxRead. more says that there is another row.
func collectMost[T any](rows rows, err error, one func(scanner) (T, error), weigh func(T) int) (all []T, more bool, _ error) {
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for n := 0; rows.Next(); n += weigh(all[len(all)-1]) {
		if n >= MaxRead {
			return all, true, nil
		}
		v, err := one(rows)
		if err != nil {
			return nil, false, err
		}
		all = append(all, v)
	}
	return all, false, rows.Err()
}
