#!/usr/bin/env bash
# docker-compose.yml, really started. Where no Docker engine can run, it says so in one line, and tests nothing.
. "$(dirname "$0")/lib.sh"

status=0
test/images.sh || status=$?
[ "$status" -ne 3 ] || exit 0
[ "$status" -eq 0 ] || exit "$status"

# Without the race detector: what is tried are the programs in the images.
step "tests of the composition"
go build -o bin/testsum ./scripts/testsum
go test -tags compose -count=1 -vet=off -timeout 20m -json -v ./test/compose | bin/testsum -v
