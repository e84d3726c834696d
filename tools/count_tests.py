#!/usr/bin/env python3
"""Counts the results of one run of `meson test` from its testlog.json.

Prints `passed failed skipped` on the first line, then one line per failure: the test, how it ended
and the command that runs it again. A missing or empty log counts as one failure: a run that says
nothing is not a success.

Usage: count_tests.py BUILD_FOLDER LOG_BASE
"""
import json
import pathlib
import sys

PASSED = {"OK", "EXPECTEDFAIL"}
SKIPPED = {"SKIP", "IGNORED"}


def main():
    build, base = sys.argv[1], sys.argv[2]
    path = pathlib.Path(build) / "meson-logs" / f"{base}.json"
    records = []
    if path.exists():
        records = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    failures = []
    passed = skipped = 0
    for record in records:
        name, result = record["name"], record["result"]
        test = name.split(" / ")[-1]
        if result in PASSED:
            passed += 1
        elif result in SKIPPED:
            skipped += 1
        else:
            failures.append(f"{test} {result.lower()}; again: meson test -C {build} -v {test}")
    if not records:
        failures.append(f"{path} has no results")
    print(passed, len(failures), skipped)
    for line in failures:
        print(line)


if __name__ == "__main__":
    main()
