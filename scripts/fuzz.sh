#!/usr/bin/env bash
# Runs every fuzz target of the repository for FUZZTIME each. A package's targets share one binary, instrumented for
# coverage. A finding ends the run with an error; go's own text says where it was written down (testdata/fuzz).
. "$(dirname "$0")/lib.sh"

binary=$(mktemp)
trap 'rm -f "$binary"' EXIT
corpus=$(go env GOCACHE)/fuzz

# What is found interesting is made smaller at most this often: by itself, go takes a minute each time.
smaller=50x

for package in $(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u); do
	go test -c -vet=off -fuzz . -o "$binary" "$package"
	for target in $(grep -h '^func Fuzz' "$package"/*_test.go | sed 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/'); do
		step "$target in $package"
		(cd "$package" && "$binary" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "${FUZZTIME:-30s}" \
			-test.fuzzminimizetime "$smaller" -test.fuzzcachedir "$corpus/sandpiper/${package#./}" </dev/null)
	done
done
