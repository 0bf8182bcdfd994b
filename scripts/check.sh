#!/usr/bin/env bash
# What can be said about the code without running it.
. "$(dirname "$0")/lib.sh"

step "vet"
go vet ./...
go vet -tags long ./test/e2e
go vet -tags containers ./internal/containertest ./internal/pgtest ./internal/redistest
go vet -tags compose ./test/compose
(cd test/peers && go vet ./...)

step "gofumpt"
unformatted=$(go tool gofumpt -l .)
[ -z "$unformatted" ] || die "not as gofumpt would write it (go tool gofumpt -w .):
$unformatted"

step "staticcheck"
go tool staticcheck ./...
go tool staticcheck -tags containers ./internal/containertest

# The tests that read the source: who imports whom, how a log line is written, what the docs say. They take seconds.
step "what the source must keep to"
go test -vet=off ./internal ./internal/telemetry ./docs ./migrations
