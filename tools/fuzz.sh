#!/bin/bash
# Runs every fuzz target: first its kept inputs, then SECONDS of new ones. What is found new stays in
# build/fuzz/corpus/<target>, what crashes in build/fuzz/crashes/.
# Prints one line per target, `ok fuzz NAME` or `FAIL fuzz NAME` with what to do.
# Usage: tools/fuzz.sh SECONDS [target ...]
set -u
cd "$(dirname "$0")/.." || exit 1
seconds=${1:?usage: fuzz.sh SECONDS [target ...]}
shift
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for source in tests/fuzz/fuzz_*.c; do
        [ ! -e "$source" ] || { name=${source##*/fuzz_}; names+=("${name%.c}"); }
    done
fi
mkdir -p build/fuzz/crashes build/log
export ASAN_OPTIONS=abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

fuzz_one() {
    local name=$1 program=build/fuzz/tests/fuzz/fuzz_$1 kept=tests/fuzz/corpus/$1
    local new=build/fuzz/corpus/$1 log=build/log/fuzz-$1.log reason=
    mkdir -p "$new"
    if [ ! -x "$program" ]; then
        reason="not built: is it in tests/fuzz/meson.build?"
    elif [ -z "$(ls -A "$kept" 2>/dev/null)" ]; then
        reason="no kept inputs in $kept"
    elif ! timeout 120 "$program" -runs=0 "$kept" >"$log" 2>&1; then
        reason="a kept input fails; again: $program $kept/*"
    elif ! timeout $((seconds + 60)) "$program" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -artifact_prefix="build/fuzz/crashes/$name-" "$new" "$kept" >>"$log" 2>&1; then
        reason="log $log; again: $program $(sed -n 's/.*written to //p' "$log" | tail -n 1)"
    fi
    if [ -n "$reason" ]; then echo "FAIL fuzz $name ($reason)"; else echo "ok   fuzz $name"; fi
}
export seconds
export -f fuzz_one
[ ${#names[@]} -gt 0 ] || { echo 'fuzz: no targets yet'; exit 0; }
report=$(printf '%s\n' "${names[@]}" | xargs -P 2 -n 1 bash -c 'fuzz_one "$1"' fuzz)
printf '%s\n' "$report"
! grep -q '^FAIL' <<<"$report"
