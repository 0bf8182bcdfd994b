#!/usr/bin/env bash
# The commit that this version is compared with where an older one is wanted: the last before the three newest steps of the schema. Prints
# nothing where the history does not reach so far.
. "$(dirname "$0")/lib.sh"

step=$(printf '%s\n' migrations/postgres/*.sql | tail -n 3 | head -n 1)
added=$(git log --diff-filter=A --format=%H -- "$step" 2>/dev/null | tail -n 1)
[ -z "$added" ] || git rev-parse --verify --quiet "$added^" || true
