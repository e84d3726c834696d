#!/bin/bash
# Installs the Debian packages that are missing. Asks for nothing, touches nothing else; with all of
# them there it only says so.
set -u

# To build and to test.
needed='build-essential clang clang-format libclang-rt-14-dev meson ninja-build pkg-config python3
        libuv1-dev libssl-dev libxxhash-dev libcmocka-dev scdoc'
# For `make check` only.
helpful='clang-tidy cppcheck iwyu'

lacking() {
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^.i' || echo "$package"
    done
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "deps: this is no Debian system. Please install what these packages bring:" $needed $helpful
    for tool in meson ninja pkg-config gcc clang python3; do
        command -v "$tool" >/dev/null || { echo "deps: $tool is missing" >&2; exit 1; }
    done
    exit 0
fi

missing=$(lacking $needed $helpful)
if [ -z "$missing" ]; then
    echo 'deps: all packages are installed'
    exit 0
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        echo 'deps: these packages are missing, and this user may not install them:' >&2
        echo "    apt-get install" $missing >&2
        [ -z "$(lacking $needed)" ] # What only `make check` uses stops nothing else.
        exit
    fi
fi

echo 'deps: installing' $missing
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 "$@" >>"$log" 2>&1; }
if ! { apt update && apt install --no-install-recommends $missing; }; then
    tail -n 20 "$log" >&2
fi

still=$(lacking $needed)
[ -z "$still" ] || { echo 'deps: could not install' $still >&2; exit 1; }
still=$(lacking $helpful)
[ -z "$still" ] || echo 'deps: make check will do without' $still
