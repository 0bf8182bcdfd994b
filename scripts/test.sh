#!/usr/bin/env bash
# Everything that must hold before a change is done. Installs what it needs first; skips nothing.
# Arguments go to `go test` in place of ./... (for example: scripts/test.sh -run Follow ./client).
. "$(dirname "$0")/lib.sh"

scripts/need.sh

step "modules"
go mod download

step "the pinned claude command"
SANDPIPER_CLAUDE=${SANDPIPER_CLAUDE:-$(go run ./scripts/claude)}
SANDPIPER_CLAUDE=$(realpath "$SANDPIPER_CLAUDE")
export SANDPIPER_CLAUDE

# A test must not spend your key, nor meet your database.
for name in $(compgen -e); do
	case $name in
	SANDPIPER_CLAUDE | SANDPIPER_TEST_SERVERS) ;;
	ANTHROPIC_* | AUTH_* | DAYTONA_* | DATABASE_URL | REDIS_URL | SANDPIPER_* | CLAUDE_*) unset "$name" ;;
	esac
done

# Decided once, for every package.
SANDPIPER_TEST_SERVERS=$(go run -tags containers ./scripts/servers)
export SANDPIPER_TEST_SERVERS

# Where a test has many sandboxes and another subject, their daemons do without the race detector. See test/daemon.
go build -o bin/ ./test/daemon
export TEST_DAEMON=$PWD/bin/daemon

# TAGS= builds in what only some tests need. What starts containers is one of these: see internal/containertest/none.go.
tags=${TAGS-}
[ "$SANDPIPER_TEST_SERVERS" != containers ] || tags=${tags:+$tags,}containers

# Else the race detector sleeps for a second at the end of every process, of which these tests start many.
export GORACE=${GORACE:-atexit_sleep_ms=20}

# RACE= does without the detector, where what a test measures would be the detector's.
race=${RACE--race}
step "tests${race:+, with the race detector}"
go build -o bin/testsum ./scripts/testsum
# vet has its own place (make check). Two packages at a time: many of these tests start processes, and time is part
# of what they look at.
# A fleet is broken for a minute here; make chaos does it for longer, and make mutants shows that its checks can fail.
# The longest packages are begun first, so that none of them is alone at the end, with a core that has nothing to do.
[ $# -gt 0 ] || set -- -skip '^(TestChaosWithTheRealCommand|TestEveryMutantIsCaught)$' \
	./test/e2e ./cmd/sandpiper ./internal/store ./test/fleet ./internal/run ./test/chaos ./internal/localdaytona ./...
# SQLite's engine is C, made into Go by a machine: the detector has nothing to find in it, and made it ten times slower.
CGO_ENABLED=1 go test ${tags:+-tags "$tags"} $race ${race:+"-gcflags=modernc.org/sqlite/lib=-race=false -d=checkptr=0"} -count=1 -vet=off -p 2 -timeout 40m -json "$@" | bin/testsum "$@"
