#!/usr/bin/env bash
# Installs the Tint check's one dependency (Dawn for Node, 130 MB) if it is not there, then runs the check with the
# given arguments: see tint/check.mjs. With no arguments it only installs.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)

command -v node >/dev/null || "$scripts/apt.sh" nodejs
# npm writes this file last, so it is as new as the lockfile only after a complete installation.
if [ "$scripts/tint/package-lock.json" -nt "$scripts/tint/node_modules/.package-lock.json" ]; then
    command -v npm >/dev/null || "$scripts/apt.sh" npm
    # The dependencies are plain files for every platform; none needs its install script.
    npm ci --prefix "$scripts/tint" --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null >&2
fi
[ $# -eq 0 ] || node "$scripts/tint/check.mjs" "$@"
