#!/bin/bash
# Fails when a header does not stand alone, cannot be included twice, or clashes with another one;
# public headers also as C++17.
# Usage: check_headers.sh [root of the tree]
set -u
cd "${1:-$(dirname "$0")/..}" || exit 1
warnings='-Wall -Wextra -Wpedantic -Wredundant-decls -Werror'

# Only this shell's children see the functions, so that xargs can run them side by side.
as_c() {
    printf '#include "%s"\n#include "%s"\n' "$1" "$1" |
        gcc -std=c17 $warnings -D_GNU_SOURCE= -Iinclude -Isrc -I. -Itests -fsyntax-only -x c - 2>&1 ||
        echo "$2:1: does not stand alone, or not twice, in C17"
}
as_cpp() {
    printf '#include "%s"\n#include "%s"\n' "$1" "$1" |
        g++ -std=c++17 $warnings -Iinclude -fsyntax-only -x c++ - 2>&1 ||
        echo "$2:1: does not stand alone, or not twice, in C++17"
}
check() {
    case $1 in
    include/*) as_c "${1#include/}" "$1"; as_cpp "${1#include/}" "$1" ;;
    src/*) as_c "${1#src/}" "$1" ;;
    tests/*) as_c "${1#tests/}" "$1" ;;
    *) as_c "$1" "$1" ;;
    esac
}
export warnings
export -f as_c as_cpp check

headers=$(find include src sim tests bench -name '*.h' 2>/dev/null | sort)
[ -n "$headers" ] || { echo "no header found in $PWD"; exit 1; }
found=$(
    printf '%s\n' "$headers" | xargs -P 2 -n 1 bash -c 'check "$1"' check
    # All of one kind together: two headers with one guard, or one name, show up here.
    for kind in include src; do
        printf '%s\n' "$headers" | sed -n "s|^$kind/\(.*\)|#include \"\1\"|p" |
            gcc -std=c17 $warnings -D_GNU_SOURCE= -Iinclude -Isrc -fsyntax-only -x c - 2>&1 ||
            echo "$kind:0: its headers clash when all are included"
    done
    # A guard used twice makes the second file silently empty, which no compiler reports.
    printf '%s\n' "$headers" | xargs grep -Hm1 '^#ifndef' |
        awk -F: '{if ($2 in seen) print $1 ":1: shares its guard with " seen[$2]; seen[$2] = $1}'
    printf '%s\n' "$headers" | xargs grep -L '^#ifndef' | sed 's/$/:1: has no include guard/'
)
[ -z "$found" ] || { printf '%s\n' "$found"; exit 1; }
