// Package snapshots is what operators do with the snapshots of a deployment on a platform: build, find, use and prune
// them. It keeps nothing: which snapshots there are is what the platform answers, which one is current stands in SQL, and
// the cache file of the integration guide mirrors it for people and their scripts.
//
// A snapshot of ours is named PREFIX-snapshot-TIME, and its Dockerfile ends with a comment that holds the hash of
// everything that went into it. So whoever has the platform's key sees what a snapshot was built from, wherever it was
// built, and the same content is not built twice. Other snapshots are never deleted.
package snapshots
