#!/usr/bin/env bash
# Tries to break the program: `scripts/torture.sh [MINUTES] [NAME...]` kills it at random moments (`killed`), lies to it
# (`lies`) and gives each fuzz target MINUTES (10) minutes; with names, only those. One line a part, with its figures; logs, and
# inputs that break a parser, are in $CARGO_TARGET_DIR/torture. The exit status is 0 only if nothing broke.
# Cache: $STEPLADDER_CACHE, else $XDG_CACHE_HOME/stepladder, else ~/.cache/stepladder.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-10}
[ $# -eq 0 ] || shift
case $minutes in
'' | *[!0-9]* | 0) echo "usage: scripts/torture.sh [MINUTES] [NAME...], MINUTES a whole number above 0" >&2 && exit 2 ;;
esac
cache=${STEPLADDER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stepladder}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$target/torture
fuzz_version=0.13.2
host=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p "$out" "$cache"

wanted() { # name, names asked for
    local name=$1
    shift
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]]
}
parts=() targets=()
for name in killed lies; do
    [ ! -e "scripts/torture/$name.py" ] || ! wanted "$name" "$@" || parts+=("$name")
done
for file in fuzz/fuzz_targets/*.rs; do
    name=$(basename "$file" .rs)
    ! wanted "$name" "$@" || targets+=("$name")
done
if [ ${#parts[@]} -eq 0 ] && [ ${#targets[@]} -eq 0 ]; then
    echo "there is no part of that name: killed, lies, and those of fuzz/fuzz_targets" >&2
    exit 2
fi

killed() {
    command -v strace >/dev/null || scripts/apt.sh strace || true # without it no faults, which the last line then says
    scripts/torture/killed.py "$program"
}

lies() {
    local venv=$cache/torture-venv answers=$out/lies.tsv
    if [ ! -x "$venv/bin/python" ]; then
        python3 -m venv "$venv" || { scripts/apt.sh python3-venv && python3 -m venv "$venv"; } || return
    fi
    # Other lies every day; those that are committed are a test.
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r scripts/torture/requirements.txt &&
        "$venv/bin/python" scripts/torture/lies.py "$(date +%Y%m%d)" >"$answers" &&
        scripts/torture/judge.py "$program" "$answers"
}

broken=0
report() { # name, status, words
    local mark=ok
    [ "$2" -eq 0 ] || { mark=BROKEN && broken=$((broken + 1)); }
    printf '%-16s %-7s %s\n' "$1" "$mark" "$3"
}

if [ ${#parts[@]} -gt 0 ]; then
    cargo build --release --locked --quiet
    program=$target/release/stepladder
fi
for name in "${parts[@]}"; do
    status=0
    "$name" >"$out/$name.log" 2>&1 </dev/null || status=$?
    report "$name" "$status" "$(tail -n 1 "$out/$name.log")"
done

if [ ${#targets[@]} -gt 0 ]; then
    # libFuzzer is C++; the compiler's coverage counters are for nightly, which this makes of a stable one.
    command -v c++ >/dev/null || scripts/apt.sh g++
    export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$target/fuzz
    tool=$cache/cargo-fuzz-$fuzz_version
    if [ ! -x "$tool/bin/cargo-fuzz" ]; then
        echo "building cargo-fuzz $fuzz_version (a minute, once) ..." >&2
        cargo install cargo-fuzz --version "=$fuzz_version" --locked --root "$tool" --quiet >&2
    fi
    # Without a sanitizer: there is no `unsafe` here, and memory is counted by the targets themselves.
    "$tool/bin/cargo-fuzz" build --sanitizer none --target-dir "$CARGO_TARGET_DIR" >"$out/fuzz-build.log" 2>&1 ||
        { tail -n 20 "$out/fuzz-build.log" >&2 && exit 1; }
fi
# Fuzzes a target for its minutes. Two seconds by the clock are less than that for the program on a busy machine, so what took
# longer is tried again by itself, and counts if it takes two seconds of the processor.
fuzz() {
    local name=$1 end=$((SECONDS + 60 * minutes)) status=0 left late
    local found=$out/found/$name program=$CARGO_TARGET_DIR/$host/release/$name
    while left=$((end - SECONDS)) && [ "$left" -gt 0 ]; do
        status=0
        # New inputs go into the first folder; what is committed is only read.
        "$program" "$out/corpus/$name" "fuzz/corpus/$name" \
            -artifact_prefix="$found/" -max_total_time="$left" -timeout=2 \
            -rss_limit_mb=2048 -max_len=16384 -use_value_profile=1 -print_final_stats=1 || status=$?
        [ "$status" -ne 0 ] || break
        late=$found/$(ls -t "$found" | head -n 1)
        [[ $late == */timeout-* ]] || break
        (ulimit -t 2 && "$program" -artifact_prefix="$found/" "$late") || break
        rm "$late"
        status=0
    done
    return "$status"
}
for name in "${targets[@]}"; do
    mkdir -p "$out/corpus/$name" "$out/found/$name"
    status=0
    fuzz "$name" >"$out/$name.log" 2>&1 </dev/null || status=$?
    runs=$(awk '/^stat::number_of_executed_units:/ { sum += $2 } END { print sum + 0 }' "$out/$name.log")
    rate=$((${runs:-0} / (60 * minutes)))
    cover=$(grep -o 'cov: [0-9]*' "$out/$name.log" | tail -n 1 || true)
    words="${runs:-0} inputs, ${rate:-0} a second, ${cover:-cov: 0}"
    [ "$status" -eq 0 ] || words="$words; see $out/$name.log and $out/found/$name"
    report "$name" "$status" "$words"
done

echo "$((${#parts[@]} + ${#targets[@]})) parts, $broken broken"
[ $broken -eq 0 ]
