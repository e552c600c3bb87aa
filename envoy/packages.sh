# shellcheck shell=bash
# What the set-up scripts share: how they speak, and Debian packages. To be sourced, with the speaker's name:
# `source envoy/packages.sh setup`.

SPEAKER=$1

step() { printf '%s: %s\n' "$SPEAKER" "$*"; }
fail() {
    printf '%s: error: %s\n' "$SPEAKER" "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# What makes a command root's: nothing for root.
ROOT=()
[[ $(id -u) -eq 0 ]] || ROOT=(sudo)

# Unpacks a Debian package below a folder: unpack_package "why" package folder. Nothing is installed: no service starts, and nobody
# needs root unless apt has no lists yet.
unpack_package() {
    local why=$1 package=$2 folder=$3 work
    have apt-get && have dpkg-deb || fail "$why: please install what Debian calls $package"
    step "$why: unpacking Debian's $package"
    work=$(mktemp -d)
    if ! (cd "$work" && apt-get download -qq "$package") >/dev/null 2>&1; then
        "${ROOT[@]}" apt-get update -qq || true
        (cd "$work" && apt-get download -qq "$package") >/dev/null || fail "$why: apt-get could not download $package"
    fi
    mkdir -p "$folder"
    dpkg-deb -x "$work"/*.deb "$folder"
    rm -rf "$work"
}

# Installs Debian packages: install_packages "why" package...
install_packages() {
    local why=$1
    shift
    have apt-get || fail "$why: please install what Debian calls: $*"
    [[ ${#ROOT[@]} -eq 0 ]] || have sudo || fail "$why needs root: run 'apt-get install $*' and start again"
    step "$why: installing $*"
    "${ROOT[@]}" apt-get update -qq
    "${ROOT[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
