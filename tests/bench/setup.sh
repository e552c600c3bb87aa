#!/usr/bin/env bash
# Installs the Debian packages that measuring needs and building does not. Quick when nothing is missing.
set -euo pipefail

missing=()
command -v valgrind >/dev/null || missing+=(valgrind)
command -v wrk >/dev/null || missing+=(wrk)
command -v haproxy >/dev/null || [[ -x /usr/sbin/haproxy ]] || missing+=(haproxy)
if ((${#missing[@]})); then
    root=()
    [[ $(id -u) -eq 0 ]] || root=(sudo)
    printf 'bench: installing %s\n' "${missing[*]}"
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
