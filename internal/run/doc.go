// Package run is the run directory: how one prompt is started in a sandbox exactly once, followed, looked into and
// stopped, by whoever knows the run's id.
package run
