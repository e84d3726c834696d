#!/usr/bin/env python3
"""Fails on a file of more than 800 lines, a function of more than 70, a line of more than 100
columns.

Usage: check_size.py [root of the tree]
"""
import pathlib
import re
import sys

from c_text import c_files, code_only, line_of

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100
# Our layout puts the braces of a function, and of nothing else after `)`, in the first column.
FUNCTION = re.compile(r"^(\w[^\n;={}]*?(\w+)\([^;{}]*\)[^;{}()]*)\n\{\n(.*?)^\}", re.M | re.S)


def main():
    found = 0
    for path in c_files(ROOT):
        text = path.read_text()
        place = path.relative_to(ROOT)
        lines = text.count("\n")
        if lines > FILE_LINES_MAX:
            print(f"{place}:{lines}: {lines} lines; more than {FILE_LINES_MAX} are two ideas")
            found += 1
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > COLUMNS_MAX:
                print(f"{place}:{number}: {len(line)} columns, at most {COLUMNS_MAX}")
                found += 1
        code = code_only(text)
        for match in FUNCTION.finditer(code):
            length = match.group().count("\n") + 1
            if length > FUNCTION_LINES_MAX:
                where = line_of(code, match.start())
                print(f"{place}:{where}: {match.group(2)}() has {length} lines, "
                      f"at most {FUNCTION_LINES_MAX}")
                found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
