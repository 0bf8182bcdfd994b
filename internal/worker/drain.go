package worker

import (
	"context"
	"time"
)

// drain ends the work of this worker: its attempts' contexts have ended, so they commit what they have read and let go.
// It keeps the leases until the last one has, for one that is just ending its run may take a moment, and then gives them
// back. An attempt that is held up, by a database or a platform that does not answer, holds up none of the others' jobs.
func (w *Worker) drain(tick *time.Ticker) error {
	idle := make(chan struct{})
	go func() {
		w.places.close()
		close(idle)
	}()
	late := time.NewTimer(w.o.Farewell + 100*time.Millisecond)
	defer late.Stop()
	beat := tick.C
	for {
		select {
		case <-idle:
			w.handOver()
			return nil // and nothing can start any more
		case o := <-w.offers:
			w.held.decided(o.JobID)
			w.places.give(o.Priority)
		case <-beat:
			w.turn(context.Background())
		case <-late.C:
			w.handOver()
			beat = nil // what was given back is not ours
		}
	}
}

// handOver gives back whatever this worker holds, in one statement. What cannot be given back lapses by itself, a little
// later, so an error ends nothing.
func (w *Worker) handOver() {
	ctx, cancel := context.WithTimeout(context.Background(), w.o.Farewell)
	defer cancel()
	jobs, err := w.rows.HandOver(ctx, w.o.Name)
	if err != nil {
		w.o.Log.WarnContext(ctx, "leases are not given back: they lapse", "err", err)
		return
	}
	w.o.Log.InfoContext(ctx, "the worker has stopped", "worker", w.o.Name, "handedOver", jobs)
}
