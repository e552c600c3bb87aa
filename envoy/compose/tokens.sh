#!/usr/bin/env bash
# Makes envoy/.env with fresh secrets for docker-compose.yaml. Of one that is there it leaves alone what it has, and adds what is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

token() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

umask 077
touch .env
added=()
for name in FLAMEGATE_ADMIN_TOKEN FLAMEGATE_SYNC_TOKEN GRAFANA_ADMIN_PASSWORD \
    POSTGRES_SERVER_PASSWORD POSTGRES_OWNER_PASSWORD VALKEY_PASSWORD; do
    grep -q "^$name=." .env && continue
    # A last line without its end would swallow the next.
    [[ -z $(tail -c 1 .env) ]] || printf '\n' >> .env
    printf '%s=%s\n' "$name" "$(token)" >> .env
    added+=("$name")
done
if ((${#added[@]})); then
    printf 'tokens: envoy/.env: made %s\n' "${added[*]}"
else
    printf 'tokens: envoy/.env has all it needs\n'
fi
