#!/usr/bin/env bash
# What store, queue, bus and relay promise, with Postgres and Redis in containers, whatever this machine would choose. Where no
# Docker engine can run, it says so in one line and fails (exit code 3): nothing was tested.
. "$(dirname "$0")/lib.sh"

test/images.sh
export SANDPIPER_TEST_SERVERS=containers
exec scripts/test.sh ./internal/pgtest ./internal/redistest ./internal/containertest ./internal/store ./internal/queue/... ./internal/bus ./internal/relay
