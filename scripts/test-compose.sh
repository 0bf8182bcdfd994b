#!/usr/bin/env bash
# docker-compose.yml, really started, by both compositors that there are: all of it by docker-compose 1.29, upgraded from an older version;
# and by Docker's compose plugin, freshly started, all but the end-to-end suite. "1.29" or "plugin" chooses one of them. Where no Docker
# engine can run, it says so in one line and fails (exit code 3): nothing was tested.
. "$(dirname "$0")/lib.sh"

older_tree() { # an older version to be upgraded, in $tree; or nothing
	local older
	older=$(scripts/older.sh)
	tree=
	if [ -z "$older" ]; then
		step "the history of this checkout is too short for an older version: the upgrade is one to the same"
		return
	fi
	tree=$(mktemp -d)
	trap 'rm -rf "$tree"' EXIT
	git archive "$older" | tar -x -C "$tree"
	step "the older version is $(git log -1 --format='%h %s' "$older")"
}

# Without the race detector: what is tried are the programs in the images.
composed() { go test -tags compose -count=1 -vet=off -timeout 60m -json -v "$@" | bin/testsum -v; }

by_129() {
	older_tree
	step "tests of the composition, by $(docker-compose version --short)"
	composed ./test/compose -args -by docker-compose -from "$tree"
}

# Where the docker command looks for a plugin, in a folder that is ours.
by_plugin() {
	export DOCKER_CONFIG=$PWD/bin/docker
	step "the compose plugin, made of its module"
	(
		cd test/compose/plugin
		version=$(go list -m -f '{{.Version}}' github.com/docker/compose/v5)
		go build -buildvcs=false -trimpath -ldflags="-s -w -X github.com/docker/compose/v5/internal.Version=$version" \
			-o "$DOCKER_CONFIG/cli-plugins/docker-compose" github.com/docker/compose/v5/cmd
	)
	step "tests of the composition, by $(docker compose version)"
	composed -skip '^TestComposition$/^the_end-to-end_suite$' ./test/compose -args -by "docker compose"
}

which=${1:-both}
case $which in
both | 1.29 | plugin) ;;
*) die "scripts/test-compose.sh [1.29|plugin], not $which" ;;
esac
test/images.sh
go build -o bin/testsum ./scripts/testsum
if [ "$which" != plugin ]; then by_129; fi
if [ "$which" != 1.29 ]; then by_plugin; fi
