#!/usr/bin/env bash
# Runs end-to-end tests on every Envoy of envoy/versions.env and prints a table; fails when a test fails. With arguments
# only those test binaries (`envoy/matrix.sh contract grpc`). ENVOY_MATRIX names other versions. `make build` first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
versions=${ENVOY_MATRIX:-}
# shellcheck source=envoy/versions.env
source envoy/versions.env
[[ -z $versions ]] || ENVOY_MATRIX=$versions

tests=("$@")
if [[ ${#tests[@]} -eq 0 ]]; then
    # Without `scale`, `latency` and `flood`, which measure, and `hostile`, which takes long.
    for file in tests/e2e/tests/*.rs; do
        name=$(basename "$file" .rs)
        case $name in scale | latency | flood | hostile) ;; *) tests+=("$name") ;; esac
    done
fi

logs=target/matrix failed=0 table="" log=""
mkdir -p "$logs"
for name in "${tests[@]}"; do
    row=$(printf '%-16s' "$name")
    for version in $ENVOY_MATRIX; do
        log=$logs/$name-$version.log
        if ENVOY_BIN=$PWD/.cache/envoy-$version/envoy \
            cargo test --locked -p flamegate-e2e --test "$name" >"$log" 2>&1; then
            # A binary with no tests would pass as well.
            result=$(grep -oE '[0-9]+ passed' "$log" | head -1)
        else
            result=FAILED failed=1
            printf 'matrix: %s on Envoy %s has failed, see %s\n' "$name" "$version" "$log" >&2
        fi
        row+=$(printf '  %-10s' "$result")
    done
    printf '%s\n' "$row"
    table+=$row$'\n'
done

printf '\n%-16s' "test"
for version in $ENVOY_MATRIX; do printf '  %-10s' "$version"; done
printf '\n%s' "$table"
exit "$failed"
