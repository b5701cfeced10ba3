#!/usr/bin/env bash
# Runs every test: cargo's, with those of cooperative matrices on a driver that has them and of a swarm where there is a NATS
# server, then Tint over the shaders that tests/shaders.rs composed, then the npm package's. Arguments go to `cargo test`, which
# then is all but for Tint.
# Ends with one line, `N passed, N failed`, summed over all; the exit status is 0 only if all ran and passed.
set -euo pipefail
cd "$(dirname "$0")/.."

wgsl=${CARGO_TARGET_DIR:-target}/wgsl
log=$(mktemp) built=$(mktemp) package_log=$(mktemp) package=
trap 'rm -f "$log" "$built" "$package_log"; [ -z "$package" ] || kill "$package" 2>/dev/null || true' EXIT
rm -rf "$wgsl" # shaders of an earlier state must not be checked in place of today's

# The GPU tests of one binary share an adapter, which may be software on all cores: more threads only add memory.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-2}

# Builds for tests have wgpu write names and lines into every shader, which nobody reads and the driver has to.
export WGPU_DEBUG=${WGPU_DEBUG:-0}

# run_job JOB: a program's path or a command; what it prints comes in one piece when it has ended.
run_job() {
    local out status=0
    out=$(mktemp)
    if [ -x "$1" ]; then "$1"; else bash -c "$1"; fi </dev/null >"$out" 2>&1 || status=$?
    [ "$status" -eq 0 ] || echo "ended with status $status: $1" >>"$out"
    flock "$log" cat - "$out" <<<"     Running $1"
    rm -f "$out"
    return "$status"
}
export -f run_job
export log

status=0
if [ $# -eq 0 ]; then
    # With what is off by default where it can be tested, so that nothing is built twice.
    features=()
    ! scripts/swarm.sh --servers >/dev/null || features=(--features swarm)
    cargo test --locked "${features[@]}" --no-run </dev/null 2>&1 | tee "$built" || status=$?
    # The npm package, and the Rust tests that a browser runs, are built beside the tests.
    bash -c 'scripts/npm.sh --pack --demo && scripts/wasm.sh --tests' </dev/null >"$package_log" 2>&1 &
    package=$!
    jobs=$(
        sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$built"
        printf '%s\n' scripts/swarm.sh "scripts/coop.sh ${features[*]}" "cargo test --locked ${features[*]} --doc"
    )
    # Two at a time, what takes longest first: a software device compiles its pipelines one after the other, so that one process
    # leaves cores idle.
    long='/(kernels|cli_models)-|swarm'
    { grep -E "$long" <<<"$jobs" && grep -vE "$long" <<<"$jobs"; } |
        xargs -d '\n' -P 2 -I {} bash -c 'run_job "$1"' _ {} | tee "$log" || status=$?
else
    cargo test --locked --no-fail-fast "$@" </dev/null 2>&1 | tee "$log" || status=$?
fi
if [ -d "$wgsl" ] || [ $# -eq 0 ]; then
    scripts/tint.sh --self-test 2>&1 | tee -a "$log" || status=$?
    mkdir -p "$wgsl"
    scripts/tint.sh "$wgsl" 2>&1 | tee -a "$log" || status=$?
fi
if [ $# -eq 0 ]; then
    # The npm package in a browser and in Node.
    packed=0
    wait "$package" || packed=$?
    package=
    cat "$package_log"
    if [ "$packed" -eq 0 ]; then
        node web/tests/run.mjs </dev/null 2>&1 | tee -a "$log" || status=$?
    else
        status=$packed
    fi
fi

# cargo: `test result: ok. 5 passed; 0 failed; ...`; Tint: `tint: 5 passed, 0 failed`, and so the browser's: `web: ...`.
awk '/^test result: / || /^tint: / || /^web: / {
         for (i = 2; i <= NF; i++) {
             if ($i ~ /^passed/) passed += $(i - 1)
             if ($i ~ /^failed/) failed += $(i - 1)
         }
     }
     END { printf "%d passed, %d failed\n", passed, failed }' "$log"
[ "$status" -eq 0 ] || echo "not all tests passed or ran: see above (status $status)"
exit "$status"
