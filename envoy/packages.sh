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

# Installs Debian packages: install_packages "why" package...
install_packages() {
    local why=$1 root=()
    shift
    have apt-get || fail "$why: please install what Debian calls: $*"
    if [[ $(id -u) -ne 0 ]]; then
        have sudo || fail "$why needs root: run 'apt-get install $*' and start again"
        root=(sudo)
    fi
    step "$why: installing $*"
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
