// Package job holds the words of the domain: a job, its attempts, its run, its events, and how a job may change.
//
// It is a leaf: it imports the standard library only, does no I/O and knows no database, queue or sandbox. Every
// other room speaks in these types. The truth of a job lives in SQL (package store); what stands here is what the
// truth may look like.
package job
