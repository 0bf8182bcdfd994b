#!/usr/bin/env bash
# Runs every fuzz target of the repository for FUZZTIME each.
. "$(dirname "$0")/lib.sh"

go test -list '^Fuzz' ./... | awk '/^Fuzz/ { names[n++] = $1 } /^ok/ { for (i = 0; i < n; i++) print names[i], $2 } !/^Fuzz/ { n = 0 }' |
	while read -r target package; do
		step "$target in $package"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-30s}" "$package"
	done
