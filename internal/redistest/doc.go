// Package redistest runs real Redis servers for tests: one, one with TLS, a master with its replica and Sentinels, and a
// Cluster. Each is a process of its own on a free port of loopback, with its data in the test's own directory, and ends
// with the test; a single one without TLS is a container where containertest has them. A Redis that this machine runs by itself, on its own port, is neither needed nor touched.
//
// The switches are what operators meet: a restart, a wipe, a freeze, and answers that come late.
package redistest
