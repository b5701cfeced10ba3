#!/usr/bin/env bash
# Runs the tests of cooperative matrices (tests/kernels/coop.rs and one of tests/tune.rs) on a driver that has them: a recent
# lavapipe of Debian's backports with all of its libraries, fetched as packages by apt, checked with Debian's keys, unpacked
# into a cache, and started by their own dynamic linker. Nothing is installed and root is not needed.
# Arguments go to cargo, such as features with which the tests are built already.
# Prints the `test result:` lines, or one line that says why cooperative matrices were not tested.
set -euo pipefail
cd "$(dirname "$0")/.."

release=trixie
keys=/usr/share/keyrings/debian-archive-keyring.gpg
root=${STEPLADDER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stepladder}/lavapipe-$release-backports
libraries=$root/usr/lib/x86_64-linux-gnu

skip() {
    echo "cooperative matrices were not tested: $1"
    exit 0
}

# fetch FOLDER: lavapipe, the Vulkan loader and all that they need, as a tree of files.
fetch() {
    local work=$1 place source
    # From where this machine's own packages come.
    place=$(apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' |
        sed -n 's|^\(.*/debian/\{0,1\}\) main$|\1|p' | head -n 1)
    [ -n "$place" ] || { echo "apt knows no place of Debian's packages" && return 1; }
    source="deb [signed-by=$keys] $place"
    mkdir -p "$work"/apt/{lists/partial,archives/partial} "$work/tree"
    printf '%s\n' "$source $release main" "$source $release-backports main" >"$work/apt/sources.list"
    : >"$work/apt/status" # as if nothing were installed, so that the whole closure comes
    apt() {
        apt-get -qq -o Dir::State="$work/apt" -o Dir::State::Lists="$work/apt/lists" -o Dir::State::status="$work/apt/status" \
            -o Dir::Cache="$work/apt" -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
            -o Dir::Etc::preferencesparts=/dev/null -o APT::Architecture=amd64 -o APT::Architectures=amd64 \
            -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Acquire::Retries=1 -o Acquire::http::Timeout=20 "$@"
    }
    apt update && apt install -y --download-only --no-install-recommends -t "$release-backports" \
        libvulkan1 mesa-vulkan-drivers || return 1
    for package in "$work"/apt/archives/*.deb; do
        dpkg-deb -x "$package" "$work/tree" || return 1
    done
}

[ "$(uname -sm)" = "Linux x86_64" ] || skip "the driver that is fetched for them is for Linux on x86-64"
if [ ! -e "$root" ]; then
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || skip "apt-get and dpkg-deb fetch their driver"
    [ -r "$keys" ] || skip "their driver is checked with $keys"
    mkdir -p "${root%/*}"
    work=$(mktemp -d "${root%/*}/fetch-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    echo "fetching a Vulkan driver with cooperative matrices (61 MB) ..." >&2
    fetch "$work" >"$work/log" 2>&1 || { cat "$work/log" >&2; skip "their driver could not be fetched"; }
    mv -T "$work/tree" "$root" 2>/dev/null || [ -e "$root" ] # or another run was faster
fi

# The packages' own manifest has no path; this folder has, and is not searched by anything else.
manifest=$root/lavapipe.json
printf '{"file_format_version": "1.0.1", "ICD": {"api_version": "1.3.0", "library_path": "%s/libvulkan_lvp.so"}}\n' \
    "$libraries" >"$manifest"
log=$(mktemp)
trap 'rm -rf "$log" ${work:+"$work"}' EXIT
cargo test --locked "$@" --test kernels --test tune --no-run 2>&1 | tee "$log" >&2
status=0
for binary in $(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$log"); do
    env -u WGPU_ADAPTER_NAME VK_DRIVER_FILES="$manifest" XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/tmp}" \
        "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$libraries" "$binary" coop 2>&1 | tee "$log" || status=$?
    # The tests pass over an adapter without them; here that is a failure.
    if grep -q "NOT TESTED" "$log"; then
        echo "the fetched driver has no cooperative matrices"
        status=1
    fi
done
exit "$status"
