#!/bin/sh
# Fails when the archive of the pure layers needs anything but memory functions and the panic, or
# holds data that can change. It reads the object code, so nothing inlined can hide from it.
# Usage: check_purity.sh build/release/src/libmortar_core.a
set -eu
archive=${1:?usage: check_purity.sh archive}
[ -s "$archive" ] || { echo "$archive: no such archive" >&2; exit 1; }

# The first line computes from its arguments alone; the panic is defined by the host; the last line
# is what compilers add by themselves.
allowed='memcpy|memmove|memset|memcmp|memchr|strlen|strnlen|strcmp|strncmp|mortar_panic'
allowed="$allowed|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__(udiv|umod|div|mod|mul)ti3|__popcount[ds]i2"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nm -g --defined-only "$archive" 2>/dev/null | awk 'NF == 3 {print $3}' | sort -u >"$work/defined"
[ -s "$work/defined" ] || { echo "$archive: defines nothing, so there is nothing to check" >&2; exit 1; }

# nm prints member:, then `U symbol<TAB>file:line` where the debug information knows the place.
nm -u -l "$archive" 2>/dev/null | awk -F'\t' -v allowed="^($allowed)\$" '
    NR == FNR {defined[$1] = 1; next}
    /:$/ {member = $1; sub(/:$/, "", member); next}
    NF >= 1 {
        split($1, word, " ")
        symbol = word[2]
        if (symbol == "" || symbol in defined || symbol ~ allowed) next
        printf "%s: a pure layer needs %s()\n", ($2 == "" ? member ":0" : $2), symbol
    }' "$work/defined" - >"$work/found"

# .data.rel.ro is constant after loading; .data, .bss and common are not.
nm -f sysv -l "$archive" 2>/dev/null | awk -F'|' '
    /\[.*\]:$|^Symbols from/ {member = $0; sub(/^Symbols from /, "", member); sub(/:$/, "", member); next}
    NF >= 7 && $4 ~ /OBJECT|COMMON|TLS/ {
        split($7, rest, "\t")
        section = rest[1]; gsub(/ /, "", section); gsub(/ /, "", $1)
        if (section ~ /^\.(data|bss|tdata|tbss)/ && section !~ /^\.data\.rel\.ro/ || section == "*COM*")
            printf "%s: a pure layer holds the mutable global %s\n", (rest[2] == "" ? member ":0" : rest[2]), $1
    }' >>"$work/found"

cat "$work/found"
[ ! -s "$work/found" ]
