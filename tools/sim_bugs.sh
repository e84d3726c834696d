#!/bin/bash
# Shows that the simulator finds each planted bug (src/base/bug.h): builds it with -Dbugs=true, runs
# seeds with one bug at a time until one fails, two bugs side by side. What no seed shows is looked for
# in its small world (sim/small/bugs.txt), where it has one. Prints a table of who spoke first
# ("assert": an invariant of the code itself) and after how many seeds; the last line is
# `N found, 0 missed`. The exit status is 0 only if none was missed.
#
# Usage: tools/sim_bugs.sh [--seeds N] [--median K] [NAME ...]
#   --seeds N    give up on a bug after so many seeds (1500), or five times as many where it has no
#                small world
#   --median K   K times, each with other seeds; the table shows the median number of seeds, and
#                stands in docs/internals/sim-bugs.md afterwards
#   NAME         these bugs only
set -u
cd "$(dirname "$0")/.." || exit 1
seeds=1500
rounds=1
keep=0
names=()
while [ $# -gt 0 ]; do
    case $1 in
    --seeds) seeds=$2; shift 2 ;;
    --median) rounds=$2; keep=1; shift 2 ;;
    *) names+=("$1"); shift ;;
    esac
done

sim=build/bugs/sim/mortar-sim
tools/setup.sh bugs >/dev/null && ninja -C build/bugs --quiet sim/mortar-sim >/dev/null || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
"$sim" --bug list >"$work/list" || exit 1
[ ${#names[@]} -gt 0 ] || mapfile -t names < <(awk '{print $1}' "$work/list")

# In its small world; the number is that of the steps there.
world() { # bug, round
    local set log=$work/$1.$2.log
    set=$(awk -v bug="$1" '$1 == bug {print $2}' sim/small/bugs.txt)
    if [ -n "$set" ] && ! timeout 300 "$sim" --exhaustive --set "$set" --bug "$1" >"$log" 2>&1; then
        sed -n "s/^set .*: judge \([a-z]*\) after \([0-9]*\) steps.*/$1 $2 \1 $((seeds + 1)) \2/p" "$log" |
            grep . || echo "$1 $2 missed $seeds"
    else
        echo "$1 $2 missed $seeds"
    fi
}

# One bug, one range of seeds: a line `bug round judge seeds` in a file of its own. A seed that hangs
# counts as nothing found, and so does one that fails without the bug.
hunt() { # bug, round
    local begin=$(($2 * 1000000 + 1)) log=$work/$1.$2.log judge seed
    local end=$((begin + seeds - 1)) first=$begin
    grep -q "^$1 " sim/small/bugs.txt || end=$((begin + 5 * seeds - 1))
    while :; do
        timeout 300 "$sim" --bug "$1" --first --seeds "$first..$end" >"$log" 2>&1
        seed=$(sed -n 's/^seed \([0-9]*\) FAILED.*/\1/p' "$log" | head -n 1)
        [ -n "$seed" ] && ! "$sim" --seed "$seed" >/dev/null 2>&1 || break
        echo "seed $seed fails without $1, too" >&2
        first=$((seed + 1))
    done
    judge=$(sed -n 's/^\(seed [0-9]* FAILED: \)\{0,1\}judge \([a-z]*\):.*/\2/p' "$log" | head -n 1)
    if [ -z "$seed" ]; then
        world "$1" "$2"
    else
        echo "$1 $2 ${judge:-assert} $((seed - begin + 1))"
    fi >"$work/$1.$2.found"
    rm -f "$log"
}
export -f hunt world
export sim seeds work
for name in "${names[@]}"; do
    for ((round = 0; round < rounds; round++)); do
        printf '%s %s\n' "$name" "$round"
    done
done | xargs -P 2 -L 1 bash -c 'hunt "$1" "$2"' hunt

# Of several rounds: the median, where a miss is more than any number; the judge who spoke most often.
table() {
    printf '| bug | contract | what it does | judge | seeds |\n| --- | --- | --- | --- | ---: |\n'
    for name in "${names[@]}"; do
        sort -n -k4 "$work/$name".*.found | awk -v name="$name" '
            NR == FNR {if ($1 == name) {contract = $2; $1 = $2 = ""; sub(/^ */, ""); text = $0}; next}
            $3 == "missed" {missed++; next}
            {
                found[++n] = $5 == "" ? $4 : "small world, " $5 " steps"
                if (++spoke[$3] > most) {most = spoke[$3]; judge = $3}
            }
            END {
                middle = int((n + missed + 1) / 2)
                printf "| `%s` | %s | %s | %s | %s |\n", name, contract, text,
                    n == 0 ? "missed" : judge, middle <= n ? found[middle] : "> '"$seeds"'"
            }' "$work/list" -
    done
}

table | tee "$work/table"
if [ "$keep" = 1 ]; then
    {
        printf '# Planted bugs, and how soon each is found\n\n'
        printf 'Made by `tools/sim_bugs.sh --median %s`: the median number of seeds of %s ranges, and the judge\n' "$rounds" "$rounds"
        printf 'who spoke first most often; *assert* is an invariant of the code itself. A bug is given up after\n'
        printf '%s seeds where it has a [small world](small-worlds.md), and looked for there. The bugs stand in\n' "$seeds"
        printf '`src/base/bug.h`, each at its place as `BUG(NAME)`.\n\n'
        cat "$work/table"
    } >docs/internals/sim-bugs.md
fi
missed=$(grep -c '| missed |' "$work/table")
echo "$((${#names[@]} - missed)) found, $missed missed"
[ "$missed" -eq 0 ]
