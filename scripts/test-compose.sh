#!/usr/bin/env bash
# docker-compose.yml, really started, by both compositors that there are: all of it by docker-compose 1.29, upgraded from an older version;
# and by Docker's compose plugin, freshly started, all but the end-to-end suite. Where no Docker engine can run, it says so in one line and
# fails (exit code 3): nothing was tested.
. "$(dirname "$0")/lib.sh"

older=$(scripts/older.sh)
test/images.sh

# Docker's compose plugin, where the docker command looks for it in a folder that is ours.
step "the compose plugin"
config=$PWD/bin/docker
(
	cd test/compose/plugin
	version=$(go list -m -f '{{.Version}}' github.com/docker/compose/v5)
	go build -buildvcs=false -trimpath -ldflags="-s -w -X github.com/docker/compose/v5/internal.Version=$version" \
		-o "$config/cli-plugins/docker-compose" github.com/docker/compose/v5/cmd
)

tree=
if [ -n "$older" ]; then
	tree=$(mktemp -d)
	trap 'rm -rf "$tree"' EXIT
	git archive "$older" | tar -x -C "$tree"
	step "the older version is $(git log -1 --format='%h %s' "$older")"
else
	step "the history of this checkout is too short for an older version: the upgrade is one to the same"
fi

# Without the race detector: what is tried are the programs in the images.
go build -o bin/testsum ./scripts/testsum
composed() { go test -tags compose -count=1 -vet=off -timeout 60m -json -v "$@" | bin/testsum -v; }

step "tests of the composition, by $(docker-compose version --short)"
composed ./test/compose -args -by docker-compose -from "$tree"
step "tests of the composition, by $(DOCKER_CONFIG=$config docker compose version)"
DOCKER_CONFIG=$config composed -skip '^TestComposition$/^the_end-to-end_suite$' ./test/compose -args -by "docker compose"
