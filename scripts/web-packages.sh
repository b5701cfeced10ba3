#!/usr/bin/env bash
# Installs the npm packages that build and test `web/`, if they are not there. None needs its install script.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
web=$scripts/../web

command -v node >/dev/null || "$scripts/apt.sh" nodejs
# npm writes this file last, so it is as new as the lockfile only after a complete installation.
if [ "$web/package-lock.json" -nt "$web/node_modules/.package-lock.json" ]; then
    command -v npm >/dev/null || "$scripts/apt.sh" npm
    npm ci --prefix "$web" --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null >&2
fi
