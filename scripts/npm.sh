#!/usr/bin/env bash
# Builds the npm package into web/dist; with --pack also the tarball web/stepladder-VERSION.tgz, with --demo the demo page into
# web/dist-demo.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/wasm.sh
node web/build.mjs
if [[ " $* " == *" --demo "* ]]; then
    npm --prefix web run --silent demo:build
fi
if [[ " $* " == *" --pack "* ]]; then
    cp LICENSE-MIT LICENSE-APACHE web/
    (cd web && npm pack --silent --ignore-scripts)
fi
