#!/usr/bin/env python3
"""Writes the table of faults in docs/internals/sim.md anew: what each is, and how often it struck.

The names and sentences come from `mortar-sim --faults`, the counts from the last line of a run.
Usage: sim_faults.py MORTAR_SIM RUN        (RUN: a file with the output of mortar-sim --seeds)
"""
import json
import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "internals" / "sim.md"
BEGIN = "<!-- faults -->\n"
END = "<!-- /faults -->\n"


def main():
    listed = subprocess.run([sys.argv[1], "--faults"], check=True, capture_output=True, text=True)
    run = json.loads(pathlib.Path(sys.argv[2]).read_text().splitlines()[-1])
    lines = ["| fault | what is done | in a thousand seeds |", "| --- | --- | ---: |"]
    for line in listed.stdout.splitlines():
        name, text = line.split(None, 1)
        count = run["faults"][name] * 1000 / run["seeds"]
        lines.append(f"| `{name}` | {text} | {count:,.0f} |")
    table = "\n".join(lines) + "\n"
    page = PAGE.read_text()
    found = re.search(re.escape(BEGIN) + ".*?" + re.escape(END), page, re.S)
    PAGE.write_text(page[:found.start()] + BEGIN + table + END + page[found.end():])


if __name__ == "__main__":
    main()
