#!/bin/sh
# Fails when the shared library and the public headers disagree: a symbol without our prefix, a
# symbol that no header declares, or a declared function that the library lacks.
# Usage: check_exports.sh build/release/src/libmortar.so [folder of the public headers]
set -eu
library=${1:?usage: check_exports.sh library [headers]}
headers=${2:-$(dirname "$0")/../include/mortar}
[ -s "$library" ] || { echo "$library: no such library" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nm -D --defined-only "$library" | awk 'NF == 3 {print $3}' | sort -u >"$work/exported"

# One line `name file:line` per function marked MORTAR_API; a declaration may run over lines.
find "$headers" -name '*.h' | sort | while read -r header; do
    awk '
        /^[ \t]*#/ {next}
        !open && /MORTAR_API/ {open = 1; text = ""; line = FNR}
        open {
            text = text " " $0
            if (text ~ /[(;]/) {
                sub(/[(;].*/, "", text)
                sub(/[ \t]+$/, "", text)
                count = split(text, word, /[ \t*]+/)
                print word[count], FILENAME ":" line
                open = 0
            }
        }' "$header"
done | sort >"$work/declared"
[ -s "$work/declared" ] || { echo "$headers: nothing is marked MORTAR_API" >&2; exit 1; }
[ -s "$work/exported" ] || { echo "$library: exports nothing" >&2; exit 1; }

awk -v library="$library" '
    FILENAME ~ /declared$/ {declared[$1] = $2; next}
    {
        exported[$1] = 1
        if (index($1, "mortar_") != 1) {
            print library ":0: " $1 " is exported without the prefix mortar_"
            bad = 1
        } else if (!($1 in declared)) {
            print library ":0: " $1 " is exported, but no public header declares it"
            bad = 1
        }
    }
    END {
        for (name in declared) if (!(name in exported)) {
            print declared[name] ": " name "() is declared, but the library lacks it"
            bad = 1
        }
        exit bad
    }' "$work/declared" "$work/exported"
