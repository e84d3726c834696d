#!/bin/bash
# The slow readers of the code: clang-tidy, cppcheck, include-what-you-use, each where it is
# installed, then the quick checks. Ends with 1 if any of them found something.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
mkdir -p build/log
tools/setup.sh lint >build/log/setup-lint.log 2>&1 || { cat build/log/setup-lint.log; exit 1; }
bad=0

run() { # name, program that must exist, command ...
    local name=$1 program=$2 file=build/log/lint-$1.log
    shift 2
    if ! command -v "$program" >/dev/null; then
        echo "skip $name ($program is not installed)"
    elif "$@" >"$file" 2>&1; then
        echo "ok   $name"
    else
        echo "FAIL $name ($file)"
        sed -i 's/\x1b\[[0-9;]*m//g' "$file"
        { grep -E '(warning|error|performance|portability):' "$file" || cat "$file"; } |
            sed "s|$PWD/build/lint/../../||; s|^../../||" | sort -u | head -n 40
        bad=1
    fi
}

# A needless include is an error. What iwyu would add is advice, in the log: our headers pass on
# what their users always need.
includes() {
    iwyu_tool -p build/lint -j "$(nproc)" -- -Xiwyu --no_fwd_decls \
        -Xiwyu --mapping_file="$PWD/tools/iwyu.imp" | tee build/log/iwyu-advice.log |
        awk '/should remove these lines:$/ {file = $1; next}
             /^$|should add these lines:$|full include-list/ {file = ""}
             file ~ /tests\// && !/</ {next}
             file != "" && /^- #include/ {print file ": error: needless " $2 " " $3; bad = 1}
             END {exit bad}'
}

run clang-tidy run-clang-tidy run-clang-tidy -quiet -p build/lint -j "$(nproc)"
run cppcheck cppcheck cppcheck --quiet --error-exitcode=1 --std=c17 --platform=unix64 -j "$(nproc)" \
    --enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem \
    --suppress=normalCheckLevelMaxBranches -Iinclude -Isrc -I. -Itests -D_GNU_SOURCE= src sim examples bench
run iwyu iwyu_tool includes
for name in format layers banned size lists headers; do
    tool=$(ls tools/check_$name.*)
    run "$name" python3 "$tool"
done
exit $bad
