#!/usr/bin/env bash
# A Docker engine, and stand-ins for the public images that Dockerfile and docker-compose.yml name, for machines that cannot
# pull any: one debootstrap root with Debian's own Postgres and Redis, and this machine's Go, Node and modules.
# An image that is there under one of those names and is not ours was pulled by somebody: it stays, and is used.
# Exit code 3: no engine can run here.
. "$(dirname "$0")/../scripts/lib.sh"

names=(debian:bookworm-slim postgres:15-bookworm redis:7-bookworm golang:1.26-bookworm node:22-bookworm-slim)
label=sandpiper.standin
root=sandpiper-standin:root
log=/tmp/sandpiper-dockerd.log
bundle=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt} # certificates that this machine trusts

cannot() { echo "docker engine cannot start here: $*; the composition was not tested" >&2; exit 3; }

runs() { docker version >/dev/null 2>&1; }

# What we need, and this machine lacks.
missing=()
have dockerd || runs || missing+=(docker.io)
have docker-compose || missing+=(docker-compose)
have debootstrap || missing+=(debootstrap)
if [ ${#missing[@]} -gt 0 ]; then
	{ have apt-get && [ "$(id -u)" = 0 ]; } || cannot "missing: ${missing[*]}, and only root installs them, with apt"
	step "installing ${missing[*]}"
	apt-get update -qq >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null </dev/null || cannot "${missing[*]} cannot be installed"
fi

# The engine. One that we start outlives us, as one that was there would; a pid file without an engine is a dead one's.
if ! runs; then
	[ "$(id -u)" = 0 ] || cannot "only root starts one"
	pgrep -x dockerd >/dev/null || rm -f /var/run/docker.pid
	step "starting dockerd"
	setsid dockerd >"$log" 2>&1 </dev/null &
	engine=$!
	for _ in $(seq 120); do
		! runs || break
		kill -0 "$engine" 2>/dev/null || cannot "$(tail -n 1 "$log")"
		sleep 0.5
	done
	runs || cannot "it does not answer within a minute, see $log"
fi

# A stand-in is as old as what it is made of. The older version, which test-compose upgrades, is built in it too.
older=$(scripts/older.sh)
made_of=$({
	cat test/images.sh test/images/* go.mod go.sum
	[ -z "$older" ] || git show "$older:go.mod" "$older:go.sum"
} | sha256sum | cut -c 1-16)
labelled() { docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null; }
pulled() { docker image inspect "$1" >/dev/null 2>&1 && [ -z "$(labelled "$1")" ]; }

# An engine that answers may still be unable to start a container.
able() { docker run --rm --network none "$root" true 2>&1; }

todo=()
for name in "${names[@]}"; do
	if pulled "$name"; then
		echo "$name is there and not ours: it stays, and is used" >&2
	elif [ "$(labelled "$name")" != "$made_of" ]; then
		todo+=("$name")
	fi
done
[ ${#todo[@]} -gt 0 ] || exit 0

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

# Debian, with this machine's sources and certificates: a build in it reaches what this machine reaches.
if ! docker image inspect "$root" >/dev/null 2>&1; then
	step "a Debian root"
	mkdir "$context/root"
	mirror=$(apt-cache policy base-files | grep -oE 'https?://[^ ]+' | head -n 1)
	debootstrap --variant=minbase --include=ca-certificates bookworm "$context/root" "$mirror" >"$context/debootstrap.log" 2>&1 ||
		{ tail -n 5 "$context/debootstrap.log" >&2; die "debootstrap"; }
	rm -f "$context/root/etc/apt/sources.list"
	cp -a /etc/apt/. "$context/root/etc/apt/"
	rm -rf "$context/root"/etc/apt/auth.conf* # of this machine alone
	cp --remove-destination "$bundle" "$context/root/etc/ssl/certs/ca-certificates.crt"
	rm -rf "$context/root"/var/cache/apt/archives/*.deb
	tar -C "$context/root" -c . | docker import - "$root" >/dev/null
	rm -rf "$context/root"
fi
why=$(able) || cannot "${why##*$'\n'}"

# What a stage is made of lies in a folder of its own, for an engine is sent all of it each time.
mkdir -p "$context"/{small,node,golang}
cp test/images/* "$context/small/"
cp -L "$bundle" "$context/small/ca-certificates.crt"

# Go with the modules that go.mod names, from which `go mod download` takes them, and what they compile to.
step "Go, its modules, and Node of this machine"
mkdir -p "$context/golang/modules" "$context/node/node"
modules() { # of the go.mod here
	go mod download
	GOFLAGS=-modcacherw GOPROXY="file://$(go env GOMODCACHE)/cache/download" GOSUMDB=off GOMODCACHE="$context/golang/modules" go mod download
}
modules
if [ -n "$older" ]; then
	mkdir "$context/older"
	git archive "$older" go.mod go.sum | tar -x -C "$context/older"
	(cd "$context/older" && modules)
fi
find "$context/golang/modules" -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} +
# The cache stays for the next time.
compiled=${XDG_CACHE_HOME:-$HOME/.cache}/sandpiper-standin
mkdir -p "$compiled"
GOCACHE="$compiled" CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags="-s -w" -o "$context/out/" ./cmd/...
rm -rf "$context/out"
cp -al "$compiled" "$context/golang/compiled" 2>/dev/null || cp -a "$compiled" "$context/golang/compiled"
mkdir "$context/golang/go"
cp -a "$(go env GOROOT)/." "$context/golang/go/"
rm -rf "$context/golang/go/test" "$context/golang/go/doc" "$context/golang/go/api"
cp -L "$(command -v node)" "$context/node/node/node"
cp -a "$(npm root -g)/npm" "$context/node/node/npm"
cp -a "$context/small/." "$context/node/"
cp -al "$context/node/." "$context/golang/"

for name in "${todo[@]}"; do
	step "$name, a stand-in"
	from=$context/small
	case $name in node:* | golang:*) from=$context/${name%%:*} ;; esac
	docker build -q --network host --target "${name%%:*}" --build-arg registry="$(npm config get registry)" \
		--label "$label=$made_of" -t "$name" "$from" >/dev/null
done
