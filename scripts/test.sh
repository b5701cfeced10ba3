#!/usr/bin/env bash
# Runs every test: cargo's, then those of cooperative matrices on a driver that has them and of a swarm where there is a NATS
# server, then Tint over the shaders that tests/shaders.rs composed, then the npm package's. Arguments go to `cargo test`, which
# then is all but for Tint.
# Ends with one line, `N passed, N failed`, summed over all; the exit status is 0 only if all ran and passed.
set -euo pipefail
cd "$(dirname "$0")/.."

wgsl=${CARGO_TARGET_DIR:-target}/wgsl
log=$(mktemp) package_log=$(mktemp) package=
trap 'rm -f "$log" "$package_log"; [ -z "$package" ] || kill "$package" 2>/dev/null || true' EXIT
rm -rf "$wgsl" # shaders of an earlier state must not be checked in place of today's

status=0
features=()
if [ $# -eq 0 ]; then
    # With what is off by default where it can be tested, so that nothing is built twice.
    ! scripts/swarm.sh --servers >/dev/null || features=(--features swarm)
    # The npm package, and the Rust tests that a browser runs, are built beside cargo's tests, which leave half a core idle.
    cargo test --locked "${features[@]}" --no-run --quiet </dev/null || true # what fails here fails below, with its words
    nice bash -c 'scripts/npm.sh --pack --demo && scripts/wasm.sh --tests' </dev/null >"$package_log" 2>&1 &
    package=$!
fi
# The GPU tests of one binary share an adapter, which may be software on all cores: more threads only add memory.
RUST_TEST_THREADS=${RUST_TEST_THREADS:-2} cargo test --locked "${features[@]}" --no-fail-fast "$@" </dev/null 2>&1 | tee "$log" || status=$?
if [ $# -eq 0 ]; then
    scripts/coop.sh "${features[@]}" </dev/null 2>&1 | tee -a "$log" || status=$?
    scripts/swarm.sh </dev/null 2>&1 | tee -a "$log" || status=$?
fi
if [ -d "$wgsl" ] || [ $# -eq 0 ]; then
    scripts/tint.sh --self-test 2>&1 | tee -a "$log" || status=$?
    mkdir -p "$wgsl"
    scripts/tint.sh "$wgsl" 2>&1 | tee -a "$log" || status=$?
fi
if [ $# -eq 0 ]; then
    # The npm package in a browser and in Node.
    built=0
    wait "$package" || built=$?
    package=
    cat "$package_log"
    if [ "$built" -eq 0 ]; then
        node web/tests/run.mjs </dev/null 2>&1 | tee -a "$log" || status=$?
    else
        status=$built
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
