// Package worker takes one attempt of a job from its claim to its end: sandbox, preflight, launch, follow, finish.
//
// What it must never do: launch a prompt that may have been launched before, and write for a job that another
// attempt owns. The first is kept by the run's row, which is committed as "intended" before anything can be paid,
// and by the run directory in the sandbox, whose lock lets one launch through. The second is kept by the store,
// which refuses such a write with job.ErrLost; the attempt then stops following and touches nothing.
//
// A context's cause is an order: errDrain (leave everything as it is and go), errCancelled and errDeadline (end the
// run, keep what it cost), job.ErrLost (another one owns it: go).
package worker
