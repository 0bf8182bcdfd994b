// Package peers measures Sandpiper beside what others would build it on, doing the same work on the same servers: River on
// Postgres, and bare asynq on Redis. It is a module of its own, so that nothing of theirs is a dependency of ours.
//
// The work of one job: one row of state, eight events in three batches, and a result of a kilobyte. What is promised
// differs, and each benchmark says what: ours and River's writes are on the disk when they return, asynq's are when
// Redis says so (appendfsync).
package peers
