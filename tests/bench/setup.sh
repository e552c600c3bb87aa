#!/usr/bin/env bash
# Installs the Debian packages that measuring needs and building does not. Quick when nothing is missing.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=envoy/packages.sh
source envoy/packages.sh bench

missing=()
have valgrind || missing+=(valgrind)
have wrk || missing+=(wrk)
have haproxy || [[ -x /usr/sbin/haproxy ]] || missing+=(haproxy)
if ((${#missing[@]})); then
    install_packages "no ${missing[*]}, which measure or are measured" "${missing[@]}"
fi
