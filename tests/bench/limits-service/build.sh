#!/usr/bin/env bash
# Builds the rate-limit service over limitador that `make bench` compares fleet limits with: target/bench/limits-service. Quick when nothing has
# changed. Its own workspace and folder: neither `make test` nor `make check` compiles it. Its crates' licences are checked here.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
# shellcheck source=envoy/packages.sh
source envoy/packages.sh bench

# limitador asks for Redis over native-tls, which links OpenSSL; nothing that is shipped does.
if ! have pkg-config || ! pkg-config --exists openssl; then
    install_packages "no OpenSSL to link, which limitador wants" pkg-config libssl-dev
fi
manifest=tests/bench/limits-service/Cargo.toml
python3 -B tests/licences.py "$manifest"
cargo build --locked --release --manifest-path "$manifest" --target-dir target/limits-service
install -D target/limits-service/release/flamegate-bench-limits-service target/bench/limits-service
