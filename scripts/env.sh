#!/usr/bin/env bash
# Writes .env from .env.example, with fresh secrets. One that is there is somebody's, and stays.
. "$(dirname "$0")/lib.sh"

[ ! -e .env ] || { echo ".env is there, and stays as it is"; exit 0; }

secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
# As `sandpiper key new --user operator --scope jobs,ops` makes them, without Go: 256 random bits, and their hash.
key=spk_$(head -c 32 /dev/urandom | base64 | tr -d '=\n' | tr '+/' '-_')
hash=$(printf %s "$key" | sha256sum | cut -d ' ' -f 1)

umask 077
made=$(mktemp .env.XXXXXX)
trap 'rm -f "$made"' EXIT
while IFS= read -r line; do
	case $line in
	'#'*) ;;
	*'=<secret>') line=${line%<secret>}$(secret) ;;
	*'=<entry>') line=${line%<entry>}operator-${hash:0:6}:operator:jobs+ops:$hash ;;
	*'=<key>') line=${line%<key>}$key ;;
	esac
	printf '%s\n' "$line"
done <.env.example >"$made"
ln "$made" .env # fails where another one was faster
echo "wrote .env: its secrets are fresh, and only you can read it"
