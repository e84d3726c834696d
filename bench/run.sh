#!/bin/bash
# Runs the benchmarks, one after the other, and prints a table for people. bench/README.md says what
# each measures. With BENCH_JSON=file it also appends one JSON object per case to that file.
#
# BENCH_RUNS=3: the median of so many runs.  BENCH_BUILD=build/release: where the programs are.
#
# Usage: bench/run.sh [name ...]     as in bench/bench_NAME.c; all of them without a name
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BENCH_BUILD:-build/release}
if [ -n "${BENCH_JSON:-}" ]; then
    case $BENCH_JSON in /*) ;; *) BENCH_JSON=$PWD/$BENCH_JSON ;; esac
    export BENCH_JSON
fi

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for source in bench/bench_*.c; do
        name=${source##*/bench_}
        names+=("${name%.c}")
    done
fi

echo "$(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
read -r load _ </proc/loadavg
echo "load before: $load (numbers are only worth something when nothing else runs)"
bad=0
for name in "${names[@]}"; do
    program=$build/bench/bench_$name
    if [ ! -x "$program" ]; then
        echo "bench: there is no $program" >&2
        bad=1
    elif ! timeout 1200 "$program"; then
        echo "bench: $name failed" >&2
        bad=1
    fi
done
exit $bad
