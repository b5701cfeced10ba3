#!/usr/bin/env bash
# The warm start of study 2: worked examples, then an adapter trained on them, in the folder $1. What is there already is kept.
set -euo pipefail
folder=${1:?usage: scripts/study-smollm2.sh FOLDER}
program=${CARGO_TARGET_DIR:-target}/release/stepladder
problems=models/tiny/problems_heldout.jsonl
mkdir -p "$folder"

if [ ! -e "$folder/warm.jsonl" ]; then
    "$program" examples --task integral --style terse --levels 1-4 --variant-share 0.25 --count 800 --seed 7 \
        --exclude "$problems" --exclude models/tiny/problems_train.jsonl --output "$folder/warm.jsonl"
fi
if [ ! -e "$folder/warm/adapter_model.safetensors" ]; then
    "$program" train -m "$(scripts/models.sh)" --data "$folder/warm.jsonl" --output "$folder/warm" --epochs 1 --batch-size 16 \
        --learning-rate 1e-3 --rank 16 --alpha 32 --seed 1
fi
