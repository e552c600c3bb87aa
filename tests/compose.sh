#!/usr/bin/env bash
# Brings envoy/docker-compose.yaml up on a real engine, uses it and takes it down: `make compose-test`. By Compose 1.29, then its profile
# `fleet` by Compose 2 where there is one for this machine (tests/compose/compose2.sh).
#
# No image is pulled: stand-ins with the official names are made from this machine's own files (Envoy's from the binary
# that envoy/setup.sh fetched). By default the images hold what `make build` left in dist/; FLAMEGATE_COMPOSE_BUILD=1 runs
# the whole envoy/Dockerfile in the engine, with this machine's Rust and crates as the stand-in of the rust image.
# The engine is started here, with files of its own, and stopped at the end with all it made.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d /tmp/flamegate-compose.XXXXXX)
export DOCKER_HOST=unix://$work/docker.sock DOCKER_CONFIG=$work/config DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0
export COMPOSE_PROJECT_NAME=flamegate-test COMPOSE_FILE=envoy/docker-compose.yaml
export PATH=/usr/bin:$PATH:/usr/sbin
engine=
# The Compose in use, and the one that is not 1.29.
COMPOSE=/usr/bin/docker-compose
COMPOSE_2=
compose() { "$COMPOSE" "$@"; }

say() { printf 'compose: %s\n' "$*"; }
fail() {
    printf 'compose: FAILED: %s\n' "$*" >&2
    [[ -n $engine ]] && compose --profile fleet logs --tail 20 >&2
    exit 1
}

tear_down() {
    local code=$?
    trap - EXIT
    if [[ -n $engine ]]; then
        compose --profile monitoring --profile fleet down -v --remove-orphans -t 5 >/dev/null 2>&1 || true
        kill "$engine" 2>/dev/null || true
        wait "$engine" 2>/dev/null || true
    fi
    # What the engine mounted under its own folder is gone with it; whatever is not must not be removed through.
    if grep -q " $work" /proc/self/mounts; then
        awk -v work="$work" 'index($2, work) == 1 { print $2 }' /proc/self/mounts | sort -r | xargs -r umount -l || true
    fi
    rm -rf --one-file-system "$work"
    exit "$code"
}
trap tear_down EXIT

install_missing() {
    local missing=()
    type -P dockerd >/dev/null || missing+=(docker.io iptables)
    [[ -x /usr/bin/docker-compose ]] || missing+=(docker-compose)
    [[ ${#missing[@]} -eq 0 ]] && return
    [[ $(id -u) -eq 0 ]] && type -P apt-get >/dev/null || return 0
    say "no engine or no Compose, which this test is about: installing ${missing[*]}"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || true
}

# Starts an engine of our own; false when this machine cannot.
start_engine() {
    [[ $(id -u) -eq 0 ]] && type -P dockerd docker-compose >/dev/null || return 1
    mkdir -p "$work/config"
    dockerd --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/docker.pid" -H "$DOCKER_HOST" \
        >"$work/dockerd.log" 2>&1 &
    engine=$!
    local try
    for try in $(seq 480); do
        docker info >/dev/null 2>&1 && return 0
        kill -0 "$engine" 2>/dev/null || break
        sleep 0.25
    done
    tail -5 "$work/dockerd.log" >&2
    kill "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
    engine=
    return 1
}

# A small root file system from this machine's own programs and their libraries, as an image: standin TAG PROGRAM...
standin() {
    local tag=$1
    shift
    standin_root "$@"
    import_root "$tag"
}

# The same as a folder, $work/root.
standin_root() {
    local root=$work/root program
    rm -rf "$root"
    mkdir -p "$root"/{usr/bin,usr/local/bin,usr/lib,usr/lib64,etc,tmp,proc,dev,sys}
    ln -s usr/bin "$root/bin"; ln -s usr/lib "$root/lib"; ln -s usr/lib64 "$root/lib64"
    # As in every image: what is mounted over it takes its mode.
    chmod 1777 "$root/tmp"
    printf 'root:x:0:0:root:/root:/bin/sh\n' > "$root/etc/passwd"
    for program in "$@" /bin/{sh,bash,cat,grep,sed,tr,mkdir,chown,chmod,cp,id,touch}; do
        cp -L "$program" "$root/usr/bin/"
        copy_libraries "$program"
    done
    cp -L "/lib/$(uname -m)-linux-gnu"/lib{m,rt,dl,pthread,nss_dns,nss_files,gcc_s}.so.[126] "$root/lib/$(uname -m)-linux-gnu/" 2>/dev/null || true
}

# What a program or a library is linked with.
copy_libraries() {
    local root=$work/root library
    { ldd "$1" 2>/dev/null || true; } | { grep -oE '/[^ ]+\.so[^ ]*' || true; } | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -Ln "$library" "$root$library"
    done
}

# import_root TAG [OPTION...]: that folder as an image.
import_root() {
    local tag=$1
    shift
    tar -C "$work/root" -c . | docker import "$@" - "$tag" >/dev/null
    rm -rf "$work/root"
}

# A stand-in of PostgreSQL: this machine's, where it stands, and tests/compose/postgres-standin.sh as the entry point. And one of Valkey.
make_engines() {
    local programs root=$work/root version folder library
    programs=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
    version=$(basename "$(dirname "$programs")")
    standin_root /bin/{rm,sleep}
    for library in "$programs"/{initdb,postgres,psql,pg_isready} "$programs"/../lib/*.so; do
        [[ $library == */llvmjit.so ]] || copy_libraries "$library"
    done
    for folder in "/usr/lib/postgresql/$version" "/usr/share/postgresql/$version" /usr/share/zoneinfo /usr/lib/locale/C.utf8; do
        mkdir -p "$root$(dirname "$folder")"
        cp -a "$folder" "$root$folder"
    done
    # Its compiler, which is a hundred megabytes.
    rm -rf "$root$programs/../lib/"{bitcode,llvmjit.so}
    printf 'postgres:x:999:999::/var/lib/postgresql:/bin/sh\n' >> "$root/etc/passwd"
    mkdir -p "$root"/{docker-entrypoint-initdb.d,var/run/postgresql,var/lib/postgresql/data}
    cp tests/compose/postgres-standin.sh "$root/usr/local/bin/docker-entrypoint.sh"
    chown 999:999 "$root/var/lib/postgresql/data"
    import_root "$(image_of postgres)" -c 'ENTRYPOINT ["docker-entrypoint.sh"]' -c "ENV PATH=$programs:/usr/local/bin:/usr/bin:/bin"
    standin_root /usr/bin/redis-server /usr/bin/redis-cli
    mv "$root/usr/bin/redis-server" "$root/usr/bin/valkey-server"
    mv "$root/usr/bin/redis-cli" "$root/usr/bin/valkey-cli"
    import_root "$(image_of valkey)"
}

# The image of a service, as docker-compose.yaml names it.
image_of() { sed -n "/^  $1:/,/image:/s/^ *image: //p" envoy/docker-compose.yaml; }

# Debian's slim image and Envoy's, by the names that envoy/Dockerfile pins.
make_bases() {
    standin "$(sed -n 's/^ARG BASE_IMAGE=//p' envoy/Dockerfile)"
    standin "$(sed -n 's/^ARG ENVOY_IMAGE=//p' envoy/Dockerfile)" "$(realpath .cache/envoy)"
}

# The rust image: this machine's toolchain, C compiler and fetched crates.
make_rust() {
    local cargo=${CARGO_HOME:-$HOME/.cargo} rustup=${RUSTUP_HOME:-$HOME/.rustup} tag channel parts part pinned folders=()
    tag=$(sed -n 's/^ARG RUST_IMAGE=//p' envoy/Dockerfile)
    # Under the name that rust-toolchain.toml asks for, where this machine has it under another.
    channel=$(realpath "$(rustc --print sysroot)")
    pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)-$(rustc -vV | sed -n 's/^host: //p')
    cargo fetch --locked
    for part in /bin /lib /lib64 /usr/bin /usr/lib /usr/lib64 /usr/libexec /usr/include /etc/alternatives; do
        [[ -e $part ]] && folders+=("${part#/}")
    done
    parts=("${cargo#/}/bin" "${cargo#/}/registry" "${rustup#/}/settings.toml" "${rustup#/}/update-hashes" "${channel#/}")
    say "making $tag from this machine's files: a few gigabytes"
    tar -C / --exclude='*/share/doc' --exclude='usr/lib/jvm' --exclude='usr/lib/chromium' --exclude='usr/lib/node_modules' \
        --exclude='usr/lib/llvm*' --exclude='usr/lib/debug' --transform "s,^${channel#/},${rustup#/}/toolchains/$pinned," --warning=no-file-changed -c "${folders[@]}" "${parts[@]}" |
        docker import -c "ENV PATH=$cargo/bin:/usr/bin:/bin HOME=$HOME CARGO_HOME=$cargo RUSTUP_HOME=$rustup RUSTUP_AUTO_INSTALL=0 CARGO_NET_OFFLINE=true" \
            - "$tag" >/dev/null
}

build_images() {
    if [[ ${FLAMEGATE_COMPOSE_BUILD:-} == 1 ]]; then
        make_rust
        compose build
        return
    fi
    local target image
    # The real last stages behind another build stage.
    { grep '^ARG' envoy/Dockerfile; sed '/^#/d' tests/compose/prebuilt.Dockerfile; awk '/^FROM .* AS control/ { on = 1 } on' envoy/Dockerfile; } \
        > "$work/Dockerfile"
    mkdir -p "$work/context/dist"
    cp dist/flamegate.wasm dist/flamegate-control dist/demo-upstream "$work/context/dist/"
    cp -r envoy "$work/context/envoy"
    for target in control:control upstream:demo-upstream gateway:gateway; do
        image=flamegate-${target#*:}:local
        docker build -q -f "$work/Dockerfile" --target "${target%:*}" -t "$image" "$work/context" >/dev/null
        say "built $image around dist/"
    done
}

# status PATH [KEY]: what the gateway answers.
status() {
    local header=()
    [[ -n ${2:-} ]] && header=(-H "Authorization: Bearer $2")
    curl -s -o /dev/null -m 5 -w '%{http_code}' "${header[@]}" "http://127.0.0.1:$FLAMEGATE_GATEWAY_PORT$1" || true
}

# expect WHAT WANTED COMMAND...: waits until the command prints it, at most two minutes.
expect() {
    local what=$1 wanted=$2 got= try
    shift 2
    for try in $(seq 600); do
        got=$("$@" 2>/dev/null || true)
        [[ $got == "$wanted" ]] && { say "ok: $what"; return; }
        sleep 0.2
    done
    fail "$what: wanted $wanted, got $got"
}

health() { docker inspect -f '{{.State.Health.Status}}' "$(compose ps -q "$1")"; }
control() { compose exec -T control flamegate-control "$@"; }
field() { python3 -c "import json, sys; print(json.load(sys.stdin)['$1'])"; }

confined() {
    local service id facts
    for service in "$@"; do
        id=$(compose ps -q "$service")
        facts=$(docker inspect -f '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}' "$id")
        [[ $facts =~ ^(10001:10001|101:101|999:999)\ true\ \[ALL\]\ \[no-new-privileges:true\]$ ]] || fail "$service runs as: $facts"
        [[ $(docker inspect -f '{{.HostConfig.Memory}}' "$id") -gt 0 ]] || fail "$service has no memory limit"
        compose exec -T "$service" sh -c 'echo x > /etc/x' 2>/dev/null && fail "$service can write to its root"
        [[ $(compose exec -T "$service" id -u) != 0 ]] || fail "$service runs as root"
    done
    say "ok: nobody is root, roots are read-only, no capabilities"
}

use_it() {
    local made id key
    for service in control upstream gateway; do expect "$service is healthy" healthy health "$service"; done
    confined control upstream gateway
    expect "no key: 401" 401 status /v1/agents
    control workspaces create --name Acme --slug acme >/dev/null
    made=$(control keys create --workspace acme --name Test --environment live --limit 1000/60s --json)
    key=$(field key <<<"$made") id=$(field id <<<"$made")
    expect "a new key: 200" 200 status /v1/agents "$key"
    expect "a bypassed path: 200" 200 status /healthz
    compose stop -t 10 control >/dev/null 2>&1
    expect "control plane down, key: 200" 200 status /v1/agents "$key"
    expect "control plane down, no key: 401" 401 status /v1/agents
    compose rm -f control >/dev/null 2>&1
    compose up -d --no-build control >/dev/null 2>&1
    expect "a new control plane on the same volume is healthy" healthy health control
    expect "it has the key" active sh -c "$COMPOSE exec -T control flamegate-control keys get $id --json | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"status\"])'"
    # The gateway asks again within its longest pause; then it enforces the revocation.
    control keys revoke "$id" --wait 50s
    expect "the revoked key: 401" 401 status /v1/agents "$key"
    compose restart gateway >/dev/null 2>&1
    expect "a new key at a restarted gateway: 200" 200 status /v1/agents "$(control keys create --workspace acme --name Other --environment live)"
    expect "the revoked key there: 401" 401 status /v1/agents "$key"
}

# The profile `fleet`: what only several control planes can do.
use_fleet() {
    local service made id key parts=(postgres fleet-control-1 fleet-control-2 fleet-gateway-1 fleet-gateway-2)
    compose --profile fleet up -d --no-build fleet-gateway-1 fleet-gateway-2 valkey >"$work/fleet.log" 2>&1 || { cat "$work/fleet.log" >&2; fail "up of the fleet"; }
    for service in "${parts[@]}" valkey; do expect "$service is healthy" healthy health "$service"; done
    confined "${parts[@]}" valkey
    compose exec -T fleet-control-1 flamegate-control workspaces create --name Acme --slug acme >/dev/null
    made=$(compose exec -T fleet-control-1 flamegate-control keys create --workspace acme --name Test --environment live --json)
    key=$(field key <<<"$made") id=$(field id <<<"$made")
    expect "a key made at one control plane, at gateway 1: 200" 200 at_port "$FLAMEGATE_FLEET_GATEWAY_1_PORT" "$key"
    expect "at gateway 2: 200" 200 at_port "$FLAMEGATE_FLEET_GATEWAY_2_PORT" "$key"
    compose kill fleet-control-1 >/dev/null 2>&1
    # Its gateways come to the other one by themselves; the receipt counts both.
    compose exec -T fleet-control-2 flamegate-control keys revoke "$id" --wait 50s 2>&1 | tee "$work/receipt" | grep -q 'refused on 2 of 2 gateways' ||
        fail "the receipt: $(cat "$work/receipt")"
    say "ok: with one control plane killed, revoked at the other: $(cat "$work/receipt")"
    expect "the revoked key at gateway 1: 401" 401 at_port "$FLAMEGATE_FLEET_GATEWAY_1_PORT" "$key"
    expect "at gateway 2: 401" 401 at_port "$FLAMEGATE_FLEET_GATEWAY_2_PORT" "$key"
}

at_port() { FLAMEGATE_GATEWAY_PORT=$1 status /v1/agents "$2"; }

main() {
    PROMTOOL=$(tests/compose/promtool.sh)
    export PROMTOOL
    python3 -B tests/compose/static.py
    install_missing
    if ! start_engine; then
        printf '\n%s\n%s\n\n' '!!! compose: NO ENGINE COULD BE STARTED HERE. docker-compose.yaml was NOT brought up,' \
            '!!! only the checks that need no engine were made.' >&2
        return
    fi
    local secrets=(FLAMEGATE_ADMIN_TOKEN FLAMEGATE_SYNC_TOKEN GRAFANA_ADMIN_PASSWORD POSTGRES_SERVER_PASSWORD POSTGRES_OWNER_PASSWORD
        VALKEY_PASSWORD)
    local ports=(FLAMEGATE_GATEWAY_PORT FLAMEGATE_CONTROL_PORT FLAMEGATE_FLEET_CONTROL_1_PORT FLAMEGATE_FLEET_CONTROL_2_PORT
        FLAMEGATE_FLEET_GATEWAY_1_PORT FLAMEGATE_FLEET_GATEWAY_2_PORT)
    export "${secrets[@]}" "${ports[@]}"
    read -r "${ports[@]}" "${secrets[@]}" < <(python3 -c '
import itertools, random, secrets, socket
# From below the range of outgoing connections, one of which could take a port before its program does.
def free(port):
    try:
        return [socket.create_server(("127.0.0.1", port))]
    except OSError:
        return []
ports = itertools.count(random.randrange(10_000, 20_000))
sockets = list(itertools.islice(itertools.chain.from_iterable(map(free, ports)), 6))
print(*[s.getsockname()[1] for s in sockets], *[secrets.token_hex(32) for _ in range(6)])')
    local secret
    COMPOSE_2=$(tests/compose/compose2.sh)
    for COMPOSE in "$COMPOSE" $COMPOSE_2; do
        for secret in "${secrets[@]}"; do
            (unset "$secret" && compose config -q 2>/dev/null) && fail "the file is fine without $secret"
        done
        compose --profile fleet --profile monitoring config -q || fail "config -q"
        say "ok: Compose $(compose version --short | head -1) config -q"
    done
    COMPOSE=/usr/bin/docker-compose
    make_bases
    build_images
    compose run --rm --no-deps control init --database /data/flamegate.db >"$work/init.log" 2>&1 ||
        { cat "$work/init.log" >&2; fail "init"; }
    compose up -d --no-build >"$work/up.log" 2>&1 || { cat "$work/up.log" >&2; fail "up"; }
    use_it
    docker exec "$(compose ps -q gateway)" bash -c \
        "exec 3<>/dev/tcp/127.0.0.1/9902 && printf 'GET /stats/prometheus HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3 && cat <&3" > "$work/metrics.txt"
    curl -s -m 5 -o "$work/control.txt" "http://127.0.0.1:$FLAMEGATE_CONTROL_PORT/metrics"
    python3 -B tests/compose/static.py "$work/metrics.txt" "$work/control.txt"
    compose --profile monitoring down -v --remove-orphans -t 5 >/dev/null 2>&1
    [[ -n $COMPOSE_2 ]] || say 'NOT RUN: no Compose 2 for this machine; its part runs by 1.29'
    COMPOSE=${COMPOSE_2:-$COMPOSE}
    tests/engines/setup.sh
    make_engines
    use_fleet
    say 'passed'
}

main
