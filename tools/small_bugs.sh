#!/bin/bash
# Shows that small worlds find planted bugs, each with a shortest counter-example: for each line
# `BUG SET` of sim/small/bugs.txt, builds with -Dbugs=true, searches that set with that bug, and
# prints who objected and after how many steps. The last line is `N found, N missed`; the exit status
# is 0 only if none was missed. With --print, the counter-examples too.
#
# Usage: tools/small_bugs.sh [--print] [NAME ...]
set -u
cd "$(dirname "$0")/.." || exit 1
print=0
[ "${1:-}" != --print ] || { print=1; shift; }
sim=build/bugs/sim/mortar-sim
tools/setup.sh bugs >/dev/null && ninja -C build/bugs --quiet sim/mortar-sim || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

found=0
missed=0
printf '| bug | set | judge | steps | states seen |\n| --- | --- | --- | ---: | ---: |\n'
while read -r bug set rest; do
    case $bug in '' | '#'*) continue ;; esac
    [ $# -eq 0 ] || [[ " $* " == *" $bug "* ]] || continue
    timeout 300 "$sim" --exhaustive --set "$set" --bug "$bug" >"$work/out" 2>/dev/null
    read -r judge steps states < <(tail -n 1 "$work/out" | sed -n \
        's/.*"states":\([0-9]*\),.*"judge":"\([a-z]*\)","steps":\([0-9]*\)}.*/\2 \3 \1/p')
    [ "$print" = 0 ] || sed 's/^/    /' "$work/out"
    if [ "${steps:-0}" -gt 0 ]; then
        found=$((found + 1))
        printf '| `%s` | %s | %s | %s | %s |\n' "$bug" "$set" "$judge" "$steps" "$states"
    else
        missed=$((missed + 1))
        printf '| `%s` | %s | missed | | |\n' "$bug" "$set"
    fi
done <sim/small/bugs.txt
echo "$found found, $missed missed"
[ "$missed" -eq 0 ] && [ "$found" -gt 0 ]
