#!/usr/bin/env bash
# Install the Debian packages that the tests need and that are missing, and nothing else.
# The one list of them. The runtime itself needs only Python.
set -euo pipefail

packages=(
    gcc libc6-dev # faults: a disk that forgets, built from source
    git      # the tests read which files are tracked
    clang lld wasi-libc libclang-rt-14-dev-wasm32 # tests build WebAssembly from C
    bubblewrap # confines the programs that tools start
    make     # the entry to everything
    nodejs   # plugins and tools in JavaScript
    procps   # ps: tests look for processes left behind
    util-linux # flock, setsid, unshare: faults and single-instance tests
)

# Debian's python3 leaves out ensurepip, which `python3 -m venv` needs.
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3 python3-venv)

# The JavaScript SDK's tests need npm. Some packages of nodejs bring it and conflict with Debian's own.
command -v npm >/dev/null || packages+=(npm)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "This script knows only Debian and its relatives. Install by hand: ${packages[*]}" >&2
    exit 1
fi

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || { echo "Nothing to install: ${packages[*]} are there."; exit 0; }

if [ "$(id -u)" = 0 ]; then
    as_root=()
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    echo "Missing: ${missing[*]}. Neither root nor sudo without a password: ask an administrator for" >&2
    echo "    apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
