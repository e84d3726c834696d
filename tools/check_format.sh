#!/bin/sh
# Fails when a C file is not laid out as .clang-format says; `make format` mends it.
# Usage: check_format.sh [root of the tree]
set -eu
cd "${1:-$(dirname "$0")/..}"
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    files=$(git ls-files '*.c' '*.h' | while read -r file; do [ ! -e "$file" ] || echo "$file"; done)
else
    files=$(find include src sim tests bench examples -name '*.[ch]' 2>/dev/null || true)
fi
[ -n "$files" ] || { echo "no C file found in $PWD" >&2; exit 1; }
printf '%s\n' "$files" | xargs clang-format --dry-run -Werror 2>&1
