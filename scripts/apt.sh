#!/usr/bin/env bash
# Installs the Debian packages named as arguments: as root by apt, else prints the one command to run and fails.
set -euo pipefail

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing: $*; install it with" >&2
    echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends $*" >&2
    echo "(or your system's own packages of the same purpose), then run this again" >&2
    exit 1
fi
echo "installing $* ..." >&2
export DEBIAN_FRONTEND=noninteractive
{
    apt-get update -qq </dev/null
    apt-get install -y -qq --no-install-recommends "$@" </dev/null
} >&2
