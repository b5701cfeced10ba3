#!/usr/bin/env bash
# Exports models as GGUF files and lets llama.cpp itself continue a text: it must draw the same 32 tokens as this program, greedily.
# llama.cpp comes as node-llama-cpp's CPU build from npm (85 MB, into the cache that models.sh describes); where it cannot be
# installed, the check says NOT CHECKED. Arguments: the program, then models as it takes them; none are the fixtures and SmolLM2.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
cache=${STEPLADDER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stepladder}/llama-cpp
version=3.22.1
platform=$(node -p 'process.platform.replace("darwin", "mac").replace("win32", "win") + "-" + process.arch' 2>/dev/null || echo none)

program=${1:?usage: llama-cpp.sh PROGRAM [MODEL...]}
shift
if [ "$(cat "$cache/version" 2>/dev/null)" != "$version" ]; then
    mkdir -p "$cache"
    # The optional packages are builds for other machines and for GPUs, 700 MB.
    if ! npm install --prefix "$cache" --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error \
        "node-llama-cpp@$version" "@node-llama-cpp/$platform@$version" </dev/null >&2; then
        echo "NOT CHECKED: node-llama-cpp $version for $platform cannot be installed from npm"
        exit 0
    fi
    echo "$version" >"$cache/version"
fi
if [ $# -eq 0 ]; then
    fixtures=$scripts/../tests/fixtures/models
    set -- "$("$scripts/models.sh")"
    # Not OLMo, whose heads are wider together than the hidden size, which llama.cpp knows of no OLMo.
    for name in llama qwen2 qwen3 gemma3 smollm3 granite ministral3; do
        set -- "$@" "$fixtures/$name"
    done
fi
NODE_LLAMA_CPP=$cache/node_modules/node-llama-cpp/dist/index.js node "$scripts/llama-cpp/check.mjs" "$program" "$@"
