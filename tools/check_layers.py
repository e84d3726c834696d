#!/usr/bin/env python3
"""Fails when a file includes what its place in the tree may not see.

src/      by src/LAYERS; pure layers also by the list of harmless system headers
include/  other public headers and harmless system headers only
sim/      pure layers; sim/check/, the judges: nothing of the code they judge but base/
examples/ each other, and what a user has: public headers, the C library, libuv, OpenSSL
Everywhere: "folder/file.h" from an include root, never "../".

Usage: check_layers.py [root of the tree]
"""
import pathlib
import re
import sys

from c_text import c_files, line_of, read_layers, without_comments

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+([<"])([^>"]+)[>"]', re.M)
MACRO_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+[^<"\s]', re.M)
LANGUAGE_HEADERS = {"limits.h", "stdalign.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h",
                    "string.h"}
PURE_HEADERS = LANGUAGE_HEADERS | {"xxhash.h"}
LIBC_HEADERS = LANGUAGE_HEADERS | {
    "assert.h", "ctype.h", "dirent.h", "errno.h", "fcntl.h", "ftw.h",
    "getopt.h", "inttypes.h", "libgen.h",
    "locale.h", "malloc.h", "math.h", "netdb.h", "poll.h", "pthread.h", "sched.h", "semaphore.h", "setjmp.h",
    "signal.h", "stdarg.h", "stdio.h", "stdlib.h", "stdnoreturn.h", "strings.h", "termios.h",
    "time.h", "unistd.h"}
LIBC_FOLDERS = ("arpa/", "linux/", "net/", "netinet/", "sys/")


def is_libc(name):
    return name in LIBC_HEADERS or name.startswith(LIBC_FOLDERS)


def fault_in_src(kind, name, folder, rules, pure):
    if kind == "<":
        if folder in pure and name not in PURE_HEADERS:
            return f"{folder}/ is pure, it may not include <{name}>"
        if name.split("/")[0] in rules.keys() | {"mortar"}:
            return f'write "{name}", not <{name}>'
        return None
    if name.split("/")[0] not in rules[folder] | {"mortar"}:
        return f"{folder}/ may not include {name}: src/LAYERS does not list it"
    return None


def fault_in_include(kind, name):
    if kind == "<" and name not in LANGUAGE_HEADERS:
        return f"a public header may not include <{name}>"
    if kind == '"' and not name.startswith("mortar/"):
        return f"a public header may not include the private {name}"
    return None


def fault_in_sim(kind, name, in_check, pure):
    if kind == "<":
        return None if is_libc(name) or name == "xxhash.h" else f"sim/ may not include <{name}>"
    allowed = {"base", "mortar"} if in_check else pure | {"mortar", "sim"}
    if in_check and name.startswith("sim/check/"):
        return None
    if name.split("/")[0] not in allowed:
        who = "sim/check/ shares no code with what it judges, it" if in_check else "sim/"
        return f"{who} may not include {name}"
    return None


def fault_in_examples(kind, name):
    if name.startswith(("mortar/", "examples/")):
        return None
    if kind == "<" and (is_libc(name) or name == "uv.h" or name.startswith("openssl/")):
        return None
    return f"an example sees public headers, libc, libuv and OpenSSL only, not {name}"


def fault(parts, kind, name, rules, pure):
    """What is wrong with this include in the file at `parts`, or None."""
    if ".." in name.split("/"):
        return f'write the path from an include root, not "{name}"'
    if kind == '"' and "/" not in name:
        return f'write "folder/{name}", not "{name}"'
    if parts[0] == "src":
        return fault_in_src(kind, name, parts[1], rules, pure)
    if parts[0] == "include":
        return fault_in_include(kind, name)
    if parts[0] == "sim":
        return fault_in_sim(kind, name, parts[1] == "check", pure)
    if parts[0] == "examples":
        return fault_in_examples(kind, name)
    return None  # Tests and benchmarks see everything.


def faults(rules, pure):
    for path in c_files(ROOT):
        place = path.relative_to(ROOT)
        parts = place.parts
        if parts[0] == "src" and (len(parts) < 3 or parts[1] not in rules):
            yield f"{place}:1: not in a folder of src/LAYERS"
            continue
        text = without_comments(path.read_text())
        for match in MACRO_INCLUDE.finditer(text):
            yield f"{place}:{line_of(text, match.start())}: name the included file itself"
        for match in INCLUDE.finditer(text):
            message = fault(parts, match.group(1), match.group(2), rules, pure)
            if message:
                yield f"{place}:{line_of(text, match.start())}: {message}"


def main():
    rules, pure = read_layers(ROOT)
    found = [f"src/LAYERS:1: folder {path.name} is missing"
             for path in sorted((ROOT / "src").iterdir())
             if path.is_dir() and path.name not in rules]
    found += faults(rules, pure)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
