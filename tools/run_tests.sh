#!/bin/bash
# All tests, as `make test` runs them. Prints a line per step, then what failed with the log and the
# command that runs it again, and at last `N passed, N failed`: each check, build, fuzz target and
# test program of each build counts once. The exit status is 1 if anything failed.
#
#   1 quick checks of the text       4 TSan: os, node, integration tests, examples
#   2 gcc, release: all tests        5 fuzz targets: kept inputs, then a few seconds each
#   3 clang, ASan + UBSan: all tests 6 groups of mixed wire versions, right after step 2
#
# The tests put their files below a TMPDIR of this run; when a build's tests are done, no file of them
# and no process may be left.
#
# Usage: tools/run_tests.sh [--long]     --long: more seeds and seconds, TSan for all tests, every
#                                        small world, every planted bug
set -u
cd "$(dirname "$0")/.." || exit 1
jobs=$(nproc)
fuzz_seconds=2
multiplier=1
tsan_suites=(--suite unit-os --suite unit-node --suite integration --suite examples)
if [ "${1:-}" = --long ]; then
    export MORTAR_TEST_LONG=1 # Tests with seeds take more of them.
    fuzz_seconds=60
    multiplier=10
    tsan_suites=()
fi

log=build/log
mkdir -p "$log"
TMPDIR=$(mktemp -d /tmp/mortar-tests-XXXXXX) || exit 1
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
passed=0
failed=0
failures=()

ok() {
    passed=$((passed + 1))
    printf 'ok   %-42s %4ds\n' "$1" $((SECONDS - started))
}

fail() { # name, what to do
    failed=$((failed + 1))
    failures+=("$1: $2")
    printf 'FAIL %-42s %4ds\n' "$1" $((SECONDS - started))
}

# Runs a command as one check; its output goes to a log that is named if it fails.
check() { # name, command ...
    local name=$1 file
    shift
    file=$log/${name//[^a-z0-9]/-}.log
    started=$SECONDS
    if timeout "$check_seconds" "$@" >"$file" 2>&1; then
        ok "$name"
    else
        fail "$name" "log $file; again: $*"
        grep -m 3 -E ' error: |: error:|undefined reference|^error' "$file" | cut -c 1-200 | sed 's/^/     /'
        return 1
    fi
}

build() { # kind
    check "setup $1" tools/setup.sh "$1" && check "build $1" ninja -C "build/$1" -j "$jobs" -k 0
}

tests() { # kind, what, more arguments of meson test
    local kind=$1 what=$2 file=$log/tests-$1.log numbers
    shift 2
    started=$SECONDS
    rm -f "build/$kind/meson-logs/run.json"
    timeout 1800 "${unrandom[@]}" meson test -C "build/$kind" --no-rebuild --logbase run \
        --num-processes "$jobs" --timeout-multiplier "$multiplier" --print-errorlogs "$@" \
        >"$file" 2>&1
    numbers=$(python3 tools/count_tests.py "build/$kind" run)
    read -r good bad skipped <<<"$numbers"
    passed=$((passed + good))
    failed=$((failed + bad))
    while read -r line; do
        [ -z "$line" ] || failures+=("test $kind: $line (log $file)")
    done < <(tail -n +2 <<<"$numbers")
    printf '%-4s %-42s %4ds  %d passed, %d failed, %d skipped\n' "$([ "$bad" = 0 ] && echo ok || echo FAIL)" \
        "tests $kind ($what)" $((SECONDS - started)) "$good" "$bad" "$skipped"
    # A test that failed may leave something.
    [ "$bad" != 0 ] || check "nothing left behind $kind" tools/check_left_behind.sh "build/$kind"
}

check_seconds=900 # Of one check; more for those of --long that look at everything.

# TSan of clang 14 needs the old layout of the address space; harmless for the others.
unrandom=()

check 'check format' tools/check_format.sh
check 'check layers' tools/check_layers.py
check 'check banned words' tools/check_banned.py
check 'check sizes' tools/check_size.py
check 'check lists' tools/check_lists.py
check 'check headers' tools/check_headers.sh
check 'check the checkers' python3 tests/tools/test_checkers.py

if build release; then
    check 'check purity' tools/check_purity.sh build/release/src/libmortar_core.a
    check 'check exports' tools/check_exports.sh build/release/src/libmortar.so
    tests release 'gcc'
    if [ -n "${MORTAR_TEST_LONG:-}" ]; then
        check_seconds=2400
        check 'small worlds, every interleaving' build/release/sim/mortar-sim --exhaustive --jobs "$jobs"
        check 'planted bugs' tools/sim_bugs.sh
        check_seconds=900
    fi
fi
if build wire_next; then
    tests wire_next 'gcc, mixed wire versions' --suite sim --suite unit-wire --suite unit-group \
        --suite versions
fi
if build asan; then
    tests asan 'clang, ASan + UBSan'
fi
if build tsan; then
    ! setarch -R true 2>/dev/null || unrandom=(setarch -R)
    tests tsan 'clang, TSan' "${tsan_suites[@]}"
    unrandom=()
fi
if build fuzz; then
    while read -r line; do
        case $line in
        ok*) passed=$((passed + 1)) ;;
        FAIL*) failed=$((failed + 1)); failures+=("${line#FAIL }") ;;
        esac
        echo "$line"
    done < <(tools/fuzz.sh "$fuzz_seconds")
fi

if [ "$failed" -gt 0 ]; then
    printf '\nFailed:\n'
    printf '  %s\n' "${failures[@]}"
fi
printf '\n%d seconds\n' "$SECONDS"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
