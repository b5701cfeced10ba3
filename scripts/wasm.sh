#!/usr/bin/env bash
# Builds the crate for browsers and Node: web/src/wasm gets stepladder.js, stepladder.d.ts and stepladder_bg.wasm. With --tests
# it builds tests/browser instead, which the tests in web/tests call, into web/tests/wasm; with --lint clippy checks both; with
# --tools it only installs what the builds take.
#
# Not wasm-pack: it would run the same three programs (cargo, wasm-bindgen, wasm-opt), but downloads two of them from where
# many networks do not reach, and cannot be told a cargo profile's crate type. wasm-bindgen comes from crates.io in the very
# version of Cargo.lock, wasm-opt from the npm package `binaryen`.
# Cache: $STEPLADDER_CACHE, else $XDG_CACHE_HOME/stepladder, else ~/.cache/stepladder.
set -euo pipefail
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
cache=${STEPLADDER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stepladder}
# A folder of its own: where another compiler makes the WASM, the two would rebuild each other's build scripts.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/wasm
# What is published holds no path of the machine that made it. Flags of one's own stay; a path may hold spaces.
flags=${RUSTFLAGS:-}
flags=(${flags:+"${flags// /$'\x1f'}"} "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src/=" "--remap-path-prefix=$PWD/=")
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS

has_target() { # rustc and its arguments
    local libdir
    libdir=$("$@" --print target-libdir --target $target 2>/dev/null) && ls "$libdir"/libstd-*.rlib >/dev/null 2>&1
}

# Debian's compiler (package rustc-web) with its standard library built for WASM, as the rustup toolchain `stepladder-wasm`.
debian_toolchain() {
    local sysroot=/usr/lib/rustlib host work
    host=$(rustc -vV | sed -n 's/^host: //p')
    [ -x /usr/bin/rustc ] && [ -d $sysroot/src/rust/library/std ] ||
        scripts/apt.sh rustc-web cargo-web rust-web-src libstd-rust-web-dev
    if ! has_target /usr/bin/rustc; then
        work=$(mktemp -d)
        mkdir "$work/src"
        printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n' >"$work/Cargo.toml"
        : >"$work/src/lib.rs"
        (cd "$work" && RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc CARGO_TARGET_DIR="$work/target" /usr/bin/cargo build \
            --release --target $target -Zbuild-std=std,panic_abort) >&2
        mkdir -p $sysroot/$target/lib
        cp "$work"/target/$target/release/deps/*.rlib $sysroot/$target/lib/
        rm -rf $sysroot/$target/lib/libempty-*.rlib "$work"
    fi
    # Programs are linked by rust-lld, which Debian leaves out and rustup's own toolchain has.
    mkdir -p "$sysroot/$host/bin"
    [ -e "$sysroot/$host/bin/rust-lld" ] ||
        ln -s "$(rustc --print sysroot)/lib/rustlib/$host/bin/rust-lld" "$sysroot/$host/bin/rust-lld"
    rustup toolchain list | grep -q '^stepladder-wasm\b' || rustup toolchain link stepladder-wasm /usr
}

if ! has_target rustc && ! timeout 300 rustup target add $target >&2; then
    echo "rustup has no $target here; trying Debian's rustc-web" >&2
    has_target rustc +stepladder-wasm || debian_toolchain
    export RUSTUP_TOOLCHAIN=stepladder-wasm
fi

if [ "${1:-}" = --lint ]; then
    if ! cargo clippy --version >/dev/null 2>&1; then
        echo "NOT CHECKED: src/wasm and tests/browser, as the one toolchain here that builds for $target, ${RUSTUP_TOOLCHAIN:-the default}," \
            "has no clippy" >&2
        exit 0
    fi
    # In the profile of the builds, which then need not make the compiler's plug-ins again.
    cargo clippy --locked --lib --example browser_tests --profile wasm --target $target -- -D warnings
    exit 0
fi

version=$(awk '/^name = "wasm-bindgen"$/ { getline; gsub(/.*= |"/, ""); print; exit }' Cargo.lock)
bindgen=$cache/wasm-bindgen-$version
if [ ! -x "$bindgen/bin/wasm-bindgen" ]; then
    echo "building wasm-bindgen $version (two minutes, once) ..." >&2
    # Its own lockfile may name versions that a registry's mirror does not have yet.
    CARGO_TARGET_DIR=$CARGO_TARGET_DIR/bindgen cargo install wasm-bindgen-cli --version "=$version" --bin wasm-bindgen \
        --root "$bindgen" --quiet >&2
    rm -rf "$CARGO_TARGET_DIR/bindgen"
fi
scripts/web-packages.sh
[ "${1:-}" != --tools ] || exit 0

if [ "${1:-}" = --tests ]; then
    out=web/tests/wasm
    # Nobody downloads it: optimising it as a whole would take twice as long.
    cargo rustc --locked --quiet --example browser_tests --profile wasm --target $target -- -C lto=thin >&2
    built=$CARGO_TARGET_DIR/$target/wasm/examples/browser_tests.wasm
else
    out=web/src/wasm
    cargo rustc --locked --quiet --lib --crate-type cdylib --profile wasm --target $target >&2
    built=$CARGO_TARGET_DIR/$target/wasm/stepladder.wasm
fi
stamp=$(sha256sum "$built" "$bindgen/bin/wasm-bindgen" web/package-lock.json "$0" | sha256sum)
if [ "$(cat "$out/.stamp" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi
rm -rf "$out"
mkdir -p "$out"
"$bindgen/bin/wasm-bindgen" --target web --out-dir "$out" "$built"
if [ "${1:-}" != --tests ]; then
    # What rustc and wasm-bindgen use, and every browser with WebGPU has.
    features=(bulk-memory bulk-memory-opt call-indirect-overlong multivalue mutable-globals nontrapping-float-to-int reference-types sign-ext)
    # Once more makes it 2 KB smaller with brotli; until nothing changes takes three times as long for 200 bytes.
    node web/node_modules/binaryen/bin/wasm-opt -Oz -Oz --mvp-features "${features[@]/#/--enable-}" --strip-producers \
        -o "$out/stepladder_bg.opt.wasm" "$out/stepladder_bg.wasm"
    mv "$out/stepladder_bg.opt.wasm" "$out/stepladder_bg.wasm"
fi
echo "$stamp" >"$out/.stamp"
