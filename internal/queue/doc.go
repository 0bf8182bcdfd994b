// Package queue carries hints that a job is due, over asynq on any Redis. It is the only importer of asynq.
//
// A hint is never the truth: a claim in SQL decides. So everything here may be lost, doubled or late, and nothing of
// it costs more than time. What asynq 0.26 does not keep, and what stands here instead (each measured):
//
//   - A task whose acknowledgement failed runs again, leases are not fenced, and a lost reply of an enqueue comes back
//     as a conflict. Hence a conflict is success, and every double ends at the claim.
//   - A Redis that stalls for longer than asynq's lease (30 s) cancels the context of every handler, frees its slot and
//     admits more. Hence a handler's context is not asynq's, and the limit on running jobs is kept by the worker.
//   - A wiped Redis goes unnoticed, and the id of a task can conflict for ever afterwards. Hence a hint that is pushed
//     again has a new sequence number, and so a new id, and Depth tells anew which queues there are.
//   - A cancelled or failed task goes to a retry set, an exhausted one to an archive. Hence handlers never fail.
//   - A task without a timeout gets 30 minutes. Hence each has the longest job's and an hour.
//   - Without a Redis, asynq asks again without a pause, ten thousand times a second. Hence failed commands are paced.
//
// On a Cluster all keys of one queue share a slot, as asynq puts the queue's name in braces: its scripts work there as
// everywhere, and the three queues may lie on three masters. Depth asks for all of them.
//
// No results, retention, unique locks, groups, periodic tasks or bulk inspections: each leaks or blocks somewhere.
package queue
