#!/bin/sh
# Fails when tests left a file in TMPDIR, or a process of theirs is still there.
# Usage: TMPDIR=<folder of the tests alone> check_left_behind.sh build/<kind>
set -eu
build=$(cd "${1:?usage: check_left_behind.sh build}" && pwd -P)
found=$(
    find "${TMPDIR:?}" -mindepth 1
    find /proc -mindepth 2 -maxdepth 2 -name exe -lname "$build/*" 2>/dev/null || true
)
[ -z "$found" ] || { printf '%s\n' "$found" | sed 's/$/: error: left behind/'; exit 1; }
