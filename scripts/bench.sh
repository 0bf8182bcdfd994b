#!/usr/bin/env bash
# Every benchmark, or those that BENCH matches, each figure on a line of its own. End-to-end ones run BENCHTIME times
# (10x), because each is a prompt; the others for a second.
. "$(dirname "$0")/lib.sh"

go build -o bin/ ./cmd/sandpiper
SANDPIPER_CLAUDE=$(realpath "${SANDPIPER_CLAUDE:-$(bin/sandpiper install-claude)}")
export SANDPIPER_CLAUDE

# A benchmark must not spend your key, nor meet your database.
unset ANTHROPIC_API_KEY ANTHROPIC_BASE_URL DAYTONA_API_KEY DAYTONA_API_URL DATABASE_URL REDIS_URL SANDPIPER_API

# Output is name, count, then pairs of a figure and its unit (go doc testing.B.ReportMetric).
figures() {
	awk '
		/^Benchmark/ {
			printf "%s  (%s times)\n", substr($1, 10), $2
			for (i = 3; i < NF; i += 2) {
				figure = $i; unit = $(i + 1)
				if (unit == "ns/op") { if (figure == 0) continue; figure = sprintf("%.3f", figure / 1e6); unit = "ms/op" }
				printf "  %12s %s\n", figure, unit
			}
			fflush(); next
		}
		/^(goos|goarch|pkg|PASS)/ { next }
		/^cpu:/ || /^ok/ { next }
		{ print; fflush() }'
}

step "$(nproc) cores, $(awk '/^MemTotal/ { printf "%.1f GB", $2 / 1e6 }' /proc/meminfo), $(go version | cut -d ' ' -f 3), load $(cut -d ' ' -f 1 /proc/loadavg)"
for package in $(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -n 1 dirname | sort -u | grep -v '^./test/peers'); do
	time=1s
	case $package in ./test/*) time=${BENCHTIME:-10x} ;; esac
	names=$(go test -list "${BENCH:-.}" "$package")
	[[ $names == *Benchmark* ]] || continue
	step "$package"
	go test -run '^$' -bench "${BENCH:-.}" -benchtime "$time" -timeout 30m "$package" | figures
done

# Beside others, on the same servers: a module of its own, since nothing of theirs belongs into ours. In turn, ROUNDS
# times, so that a machine that is busy for a while is busy for everybody.
if [[ $(cd test/peers && go test -list "${BENCH:-.}" .) == *Benchmark* ]]; then
	for round in $(seq "${ROUNDS:-3}"); do
		step "./test/peers, round $round"
		(cd test/peers && go test -run '^$' -bench "${BENCH:-.}" -benchtime 1x -timeout 30m . 2>/dev/null) | figures
	done
fi
