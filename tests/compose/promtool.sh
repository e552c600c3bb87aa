#!/usr/bin/env bash
# Prints where promtool is: on the PATH, else out of Debian's package prometheus, unpacked below .cache. The package is not installed,
# because that would start a server.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# shellcheck source=envoy/packages.sh
source envoy/packages.sh compose

unpacked=$PWD/.cache/promtool/usr/bin/promtool
if ! have promtool && [[ ! -x $unpacked ]]; then
    unpack_package "no promtool, which tests the alerts" prometheus .cache/promtool >&2
fi
type -P promtool || printf '%s\n' "$unpacked"
