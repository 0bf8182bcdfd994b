// Package dispatch brings jobs to workers: it takes submissions, sends the hint that a job is due, and sweeps up what
// a hint did not bring.
//
// The row in SQL is the truth; Redis carries hints only. So a submission is accepted when its row is committed, and
// never waits long for Redis. The Sweeper keeps the promise that an accepted job runs: a hint that nobody followed is
// pushed again with a new number; while Redis is away due jobs are offered to the worker straight from SQL; and a job
// whose worker died is offered for a take-over.
//
// The Governor opens lanes to the models again that the API has closed.
package dispatch
