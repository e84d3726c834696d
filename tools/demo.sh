#!/bin/sh
# The demo, as `make demo` runs it once everything is built. tools/demo.py says what it shows.
# Usage: tools/demo.sh [arguments of demo.py]
exec python3 "$(dirname "$0")/demo.py" "$@"
