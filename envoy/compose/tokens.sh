#!/usr/bin/env bash
# Makes envoy/.env with a fresh admin and sync token for docker-compose.yaml. Leaves an existing one alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

token() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

if [[ -e .env ]]; then
    printf 'tokens: envoy/.env is there already\n'
    exit 0
fi
umask 077
printf 'FLAMEGATE_ADMIN_TOKEN=%s\nFLAMEGATE_SYNC_TOKEN=%s\nGRAFANA_ADMIN_PASSWORD=%s\n' \
    "$(token)" "$(token)" "$(token)" > .env.partial
mv .env.partial .env
printf 'tokens: wrote envoy/.env\n'
