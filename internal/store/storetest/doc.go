// Package storetest is what every engine of package store must keep, as one suite, and small fixtures for the tests of
// other packages.
//
// The suite breaks each promise on purpose: it repeats every write as if its reply had been lost, lets a stale attempt
// try every write, races claims and submissions, and runs random sequences of operations against the invariants.
package storetest
