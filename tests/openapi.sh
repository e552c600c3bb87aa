#!/usr/bin/env bash
# The REST API against its own OpenAPI document, by a fuzzing client (schemathesis, in a virtual environment of its own
# under `.cache/`): no 5xx, no undocumented status, no answer of another form. EXAMPLES (20) per operation.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VERSION=4.32.5
CLIENT=$PWD/.cache/schemathesis-$VERSION
CHECKS=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance

step() { printf 'openapi: %s\n' "$*"; }

if [[ ! -x $CLIENT/bin/st ]]; then
    step "no schemathesis $VERSION: fetching it"
    rm -rf "$CLIENT"
    if ! python3 -m venv "$CLIENT" 2>/dev/null; then
        step "no venv module: please install what Debian calls python3-venv" >&2
        exit 1
    fi
    "$CLIENT/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$VERSION"
fi

state=$(mktemp -d)
server=
cleanup() {
    [[ -z $server ]] || kill "$server" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$state"
}
trap cleanup EXIT

export FLAMEGATE_ADMIN_TOKEN=admin-token-of-the-fuzzer FLAMEGATE_SYNC_TOKEN=sync-token-of-the-fuzzer
FLAMEGATE_LOG=error dist/flamegate-control serve --init --listen 127.0.0.1:0 --database "$state/control.db" >"$state/out" &
server=$!
for _ in $(seq 600); do
    url=$(sed -n 's/^listening on //p' "$state/out")
    [[ -z $url ]] || break
    sleep 0.1
done
export FLAMEGATE_CONTROL_URL=$url
# Something to find, so that not every id is unknown.
dist/flamegate-control workspaces create --name Demo >"$state/seed"
dist/flamegate-control keys create --workspace demo --name Seed --environment test >>"$state/seed" 2>&1
dist/flamegate-control users add --email ada@example.com --workspace demo --role owner >>"$state/seed" 2>&1

# It leaves files where it runs.
cd "$state"
"$CLIENT/bin/st" run "$url/openapi.json" --header "Authorization: Bearer $FLAMEGATE_ADMIN_TOKEN" --checks "$CHECKS" \
    --max-examples "${EXAMPLES:-20}" --seed 7 --request-timeout 40 --generation-database none --no-color
