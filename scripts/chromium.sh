#!/usr/bin/env bash
# Succeeds if there is a Chromium for the browser tests ($STEPLADDER_CHROMIUM or where systems put it); else installs Debian's.
set -euo pipefail
cd "$(dirname "$0")"

[ -n "${STEPLADDER_CHROMIUM:-}" ] && exit 0
for name in chromium chromium-browser google-chrome; do
    [ -x "/usr/bin/$name" ] && exit 0
done
./apt.sh chromium
