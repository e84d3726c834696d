#!/usr/bin/env python3
"""Fails when a C file is in no meson.build: what nobody builds, nobody tests.

A source is listed by its path, or by the middle of its name (`frame` for test_frame.c), in the
meson.build of its folder or of one above.

Usage: check_lists.py [root of the tree]
"""
import pathlib
import re
import sys

from c_text import c_files

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)


def listings_of(path):
    """Every meson.build that may list `path`, the nearest first."""
    folders = [folder for folder in path.parents if ROOT in (folder, *folder.parents)]
    return [folder / "meson.build" for folder in folders if (folder / "meson.build").exists()]


def is_listed(path, listing):
    text = re.sub(r"#.*", "", listing.read_text())
    quoted = set(re.findall(r"'([^']*)'", text))
    names = {str(path.relative_to(listing.parent))}
    if listing.parent == path.parent:
        names |= {path.stem, re.sub(r"^(test|bench|fuzz)_", "", path.stem)}
    return bool(quoted & names)


def main():
    found = 0
    for path in c_files(ROOT):
        if path.suffix != ".c":
            continue
        listings = listings_of(path)
        if not any(is_listed(path, listing) for listing in listings):
            where = listings[0].relative_to(ROOT) if listings else "any meson.build"
            print(f"{path.relative_to(ROOT)}:1: is not listed in {where}, so nothing builds it")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
