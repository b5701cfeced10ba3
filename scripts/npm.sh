#!/usr/bin/env bash
# Builds the npm package into web/dist; with --pack also the tarball web/stepladder-VERSION.tgz.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/wasm.sh
node web/build.mjs
if [ "${1:-}" = --pack ]; then
    cp LICENSE-MIT LICENSE-APACHE web/
    (cd web && npm pack --silent --ignore-scripts)
fi
