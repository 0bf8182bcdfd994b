// Package bus tells every process that something was committed, over one channel of Redis pub/sub.
//
// News may be lost at any step and nothing depends on it: a listener that is told to read again, or that hears nothing
// for a while, finds the same in SQL. So nobody waits for the bus. Publish hands news to the listeners of its own
// process directly and leaves Redis to Run: in one process streams go on without any Redis.
//
// A zero job.News means "read again": the listener was too slow, the subscription was made again, or somebody's news
// did not reach Redis.
package bus
