package worker

// Slots says how many places for running jobs are taken, and how many there are.
func (w *Worker) Slots() (used, total int) { return len(w.slots), cap(w.slots) }
