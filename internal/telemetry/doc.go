// Package telemetry makes what operators look at: the log, the metrics and the readiness of a process. Each is a
// value that is handed on; there is no global one, so that two houses can stand in one test.
//
// Every label of a metric has a small, known set of values (labels.go): a time series is kept for ever, so the id of
// a job, of a user or of a sandbox is never one, nor is any text that somebody wrote. docs/metrics.md lists all of
// them and is made from the registry.
package telemetry
