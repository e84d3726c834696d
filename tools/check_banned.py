#!/usr/bin/env python3
"""Fails on what we do not write: calls named in tools/banned.txt, arrays of variable length,
`//` comments, notes to self, and mutable globals in pure layers.

Usage: check_banned.py [root of the tree]
"""
import pathlib
import re
import sys

from c_text import blank, c_files, code_only, comments, line_of, read_layers

TOOLS = pathlib.Path(__file__).resolve().parent
ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else TOOLS.parent)
NOTE = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
# An object up to its `;`, `=` or `[`: at file scope, or `static` anywhere.
OBJECT = re.compile(r"^(?:[ \t]*((?:_Thread_local[ \t]+)?static)[ \t]+|(?!typedef\b|extern\b|static\b))"
                    r"((?:\w+[ \t]+|_Atomic\([^()]*\)[ \t]*|\*+[ \t]*)+\w+)[ \t]*[;=\[]", re.M)
STATEMENT_WORDS = r"(?:return|else|do|goto|case|sizeof|typedef|extern)"
ARRAY = re.compile(rf"(?<=[;{{}}\n])[ \t]+(?!{STATEMENT_WORDS}\b)(?:\w+[ \t]+)+\**\w+[ \t]*"
                   r"((?:\[[^\]\n]*\])+)[ \t]*[;=,]")
# What only a build with -Dbugs=true holds; tools/check_purity.sh looks at the others.
BUGS_ONLY = re.compile(r"^#ifdef MORTAR_BUGS\n.*?(?=^#(?:else|endif))", re.M | re.S)
SIZEOF = re.compile(r"\bsizeof\b[ \t]*(?:\([^()]*\)|[\w.>\-\[\]*]+)")
LOWER_NAME = re.compile(r"\b[a-z_]\w*\b")
# A cast to a named type inside a size, such as (size_t)LIMIT, is no variable.
CAST = re.compile(r"\(\s*(?:const\s+)?(?:(?:struct|enum|unsigned)\s+)?\w+\s*\)(?=\s*[\w(])")


def banned_calls():
    for line in (TOOLS / "banned.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            word, replacement = line.split(maxsplit=1)
            yield re.compile(rf"(?<![\w.])(?<!->){re.escape(word)}\s*\("), word, replacement


def faults_of_calls(code, calls):
    for pattern, word, replacement in calls:
        for match in pattern.finditer(code):
            yield match.start(), f"{word}() is banned; use {replacement}"


def faults_of_arrays(code):
    for match in ARRAY.finditer(code):
        sizes = CAST.sub("", SIZEOF.sub("", match.group(1)))
        if LOWER_NAME.search(sizes):
            yield match.start(1), "the array's length varies; use a constant bound or the allocator"


def faults_of_comments(text):
    for offset, comment in comments(text):
        if comment.startswith("//"):
            yield offset, "write /* a sentence. */; `//` marks what must not be committed"
        for match in NOTE.finditer(comment):
            yield offset + match.start(), f"{match.group()} is a note to self; do it or file an issue"


def faults_of_globals(code):
    """Relies on our layout: file scope is the first column. What this misses, such as a variable of
    an unnamed struct, tools/check_purity.sh finds in the object code."""
    for match in OBJECT.finditer(BUGS_ONLY.sub(lambda bugs: blank(bugs.group()), code)):
        static, declaration = match.group(1), match.group(2)
        if not static and re.match(r"[ \t]|(?:struct|union|enum)[ \t]+\w+$", match.group()[:-1]):
            continue  # A local, or the forward declaration of a type.
        if "const" not in declaration.split("*")[-1].split():
            yield (match.start(),
                   "mutable global in a pure layer; keep it in a struct that the caller owns")


def main():
    calls = list(banned_calls())
    _, pure = read_layers(ROOT)
    found = 0
    for path in c_files(ROOT):
        text = path.read_text()
        code = code_only(text)
        place = path.relative_to(ROOT)
        faults = [*faults_of_calls(code, calls), *faults_of_arrays(code), *faults_of_comments(text)]
        if place.parts[0] == "src" and place.parts[1] in pure:
            faults += faults_of_globals(code)
        for offset, message in sorted(faults):
            print(f"{place}:{line_of(text, offset)}: {message}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
