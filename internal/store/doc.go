// Package store keeps the truth in SQL: jobs, runs, events, sandboxes, leases. What other rooms know is a copy or a
// hint, and may be lost.
//
// # What can go wrong, and what holds then
//
// A worker loses its lease and does not know. Every write of an attempt carries its number; own refuses it with
// job.ErrLost when another attempt has the job. The number rises at every claim, a takeover's too, so an old worker
// never looks like the new one.
//
// A write is committed and its reply is lost. The caller asks again with the same arguments and gets the same answer:
// Submit knows the key and the id, Claim its token, Append the seq and the offset, Finish and Requeue the attempt that
// did it. Ids are made before the first try for that reason.
//
// A claim is raced. Every write reads the head of its job first and keeps the row for itself; of many claims one finds
// the job queued.
//
// Somebody publishes what is then rolled back. Helpers only note the news in their tx; write publishes it, once, after
// the commit. A lost publish costs delay: readers find the same rows by seq and position.
//
// The process dies. A commit is on the disk before it returns (synchronous=FULL; synchronous_commit on Postgres), so
// what was answered is kept.
//
// The database goes away in the middle of a write. Whether it was committed is not known, so it is run again: it finds
// what it did, or does it. When the database stays away the write fails, and Away says so.
//
// Two transactions of two processes get in each other's way, or meet in a deadlock. One is undone and run again. What
// must not wait, beats above all, takes only rows that nobody has.
//
// A transaction commits after one that began later. Readers of a stream stop before whatever is still open: see places.
//
// The clocks of workers differ. Leases, due times and turns are compared on the database's clock, inside SQL.
//
// # Group commit
//
// A commit waits for the disk, however much is in it. Writes that come meanwhile wait, and share the next one. See
// writer for who shares with whom, sqliteEngine and pgEngine for how one that is refused leaves the others alone.
//
// # How it is built
//
// Exported methods open the transaction; small helpers take *tx, so that they compose. Queries are plain SQL with $1
// placeholders; what differs between engines is a word in braces that a dialect replaces. Package storetest has the
// suite that every engine must pass.
package store
