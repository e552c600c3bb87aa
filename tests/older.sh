#!/usr/bin/env bash
# Builds the filters of older revisions, each as it was built then, and runs the test of an older filter with each: those that are named, or those of
# tests/older.txt. What was built once is kept in target/older.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
built=$root/target/older
mkdir -p "$built"

build() { # COMMIT
    local tree
    tree=$(mktemp -d)
    # shellcheck disable=SC2064  # the folder of now
    trap "rm -rf '$tree'" RETURN
    git archive "$1" | tar -x -C "$tree"
    (
        cd "$tree"
        export CARGO_TARGET_DIR=$built/target
        cargo build --locked -p flamegate-postlink
        cargo rustc --locked --release --lib --crate-type cdylib --target wasm32-wasip1
        "$built/target/debug/flamegate-postlink" "$built/target/wasm32-wasip1/release/flamegate.wasm" "$built/$1.wasm"
    )
}

revisions=("$@")
if [[ ${#revisions[@]} -eq 0 ]]; then
    mapfile -t revisions < <(sed 's/#.*//' tests/older.txt | awk 'NF { print $1 }')
fi
for revision in "${revisions[@]}"; do
    commit=$(git rev-parse --verify --quiet "$revision^{commit}") || {
        echo "older: there is no revision $revision here (a shallow clone has only some)" >&2
        exit 1
    }
    [[ -f $built/$commit.wasm ]] || build "$commit"
    echo "older: the filter of $(git log -1 --format='%h of %cs: %s' "$commit")"
    FLAMEGATE_OLDER_FILTER=$built/$commit.wasm \
        cargo test --locked -p flamegate-e2e --test older_filter -- --ignored --nocapture
done
