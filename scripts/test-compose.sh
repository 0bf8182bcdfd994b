#!/usr/bin/env bash
# docker-compose.yml, really started. Where no Docker engine can run, it says so in one line and fails: nothing was tested.
. "$(dirname "$0")/lib.sh"

test/images.sh

# Without the race detector: what is tried are the programs in the images.
step "tests of the composition"
go build -o bin/testsum ./scripts/testsum
go test -tags compose -count=1 -vet=off -timeout 60m -json -v ./test/compose | bin/testsum -v
