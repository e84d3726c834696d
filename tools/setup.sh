#!/bin/sh
# Makes build/<kind> ready for ninja, if it is not yet. One kind per set of compiler and options, so
# that no test step rebuilds what another one needs.
# Usage: tools/setup.sh release|asan|tsan|fuzz|bugs|wire_next|lint [more meson options]
set -eu
cd "$(dirname "$0")/.."
kind=$1
shift
[ ! -e "build/$kind/build.ninja" ] || exit 0
rm -rf "build/$kind" # A set-up that was broken off half-way.
case $kind in
release) CC=gcc meson setup build/release "$@" ;;
asan) CC=clang meson setup build/asan -Db_sanitize=address,undefined -Dbench=false "$@" ;;
tsan) CC=clang meson setup build/tsan -Db_sanitize=thread -Dbench=false "$@" ;;
fuzz) CC=clang meson setup build/fuzz -Dfuzz=true -Dtests=false "$@" ;;
bugs) CC=gcc meson setup build/bugs -Dbugs=true -Dbench=false -Dexamples=false -Dtests=false "$@" ;;
wire_next) CC=gcc meson setup build/wire_next -Dwire_next=true -Dbench=false -Dexamples=false "$@" ;;
lint) CC=clang meson setup build/lint "$@" ;; # Never built: its list of commands guides the linters.
*) echo "setup: no kind '$kind'" >&2; exit 2 ;;
esac
