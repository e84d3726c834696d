#!/bin/sh
# A campaign: seeds that nobody ran before, summed up as one line of sim/campaigns.txt. Seeds that
# fail are printed with the command that replays them, and the line says how many.
# Usage: tools/sim_campaign.sh A..B [minutes]        (at most 60 minutes)
set -eu
cd "$(dirname "$0")/.."
seeds=$1
minutes=${2:-60}
[ "$minutes" -le 60 ] || { echo "at most 60 minutes" >&2; exit 2; }
tools/setup.sh release >/dev/null
ninja -C build/release --quiet sim/mortar-sim
out=$(mktemp)
trap 'rm -f "$out"' EXIT
status=0
build/release/sim/mortar-sim --seeds "$seeds" --jobs "$(nproc)" --minutes "$minutes" >"$out" || status=$?
tail -n 2 "$out"
/usr/bin/python3 - "$out" "$seeds" "$(git rev-parse --short HEAD)" >>sim/campaigns.txt <<'PY'
import datetime
import json
import sys

with open(sys.argv[1]) as lines:
    totals = json.loads(lines.read().splitlines()[-1])
faults = " ".join(f"{name}={count}" for name, count in totals["faults"].items() if count)
print(f"{datetime.date.today()} {sys.argv[3]} seeds {sys.argv[2]} ran {totals['seeds']} "
      f"failed {totals['failed']} simulated {totals['simulated_s']:.0f} s "
      f"in {totals['wall_s']:.0f} s: {faults}")
PY
exit $status
