#!/usr/bin/env bash
# A rolling start: a fleet of the programs of an older commit, $1, is replaced by those of this tree, one process after
# another, while $2 jobs are submitted. Both speak the same variables, or the older one does not start.
. "$(dirname "$0")/lib.sh"

from=$(git rev-parse --verify "${1:?which commit?}^{commit}")
old=$(mktemp -d)
trap 'git worktree remove --force "$old/tree" 2>/dev/null; rm -rf "$old"' EXIT
step "the programs of $(git log -1 --format='%h %s' "$from")"
git worktree add --quiet --detach "$old/tree" "$from"
(cd "$old/tree" && go build -o "$old/bin/" ./cmd/...)
status=0
scripts/test.sh -timeout 0 -run '^TestRollingStart$' ./test/chaos -args -from "$old/bin" -rolling "${2:-400}" -seed "${3:-0}" -report "$old/report.txt" || status=$?
cat "$old/report.txt"
exit "$status"
