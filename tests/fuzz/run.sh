#!/usr/bin/env bash
# `make fuzz`: runs each target of tests/fuzz under libFuzzer for so many seconds and prints what it did. What it finds
# lies in target/fuzz/ as `<target>-crash-…`; put it into tests/fuzz/corpus/<target>/ once it is mended.
#
#   tests/fuzz/run.sh SECONDS [TARGET…]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
seconds=${1:?seconds for each target}
shift
read -ra targets <<<"${*:-authorization bypass codecs configuration headers limiter page restriction route_settings throttle}"

if ! rustup run nightly rustc --version >/dev/null 2>&1; then
	echo 'fuzz: libFuzzer needs a nightly compiler (rustup toolchain install nightly), and there is none.' >&2
	echo 'fuzz: the corpus is replayed on the stable one instead; nothing new is tried.' >&2
	exec cargo test --locked -p flamegate-fuzz
fi
if ! command -v cargo-fuzz >/dev/null; then
	echo 'fuzz: installing cargo-fuzz 0.13.2, which builds the targets with coverage (a minute)'
	cargo install --locked cargo-fuzz@0.13.2
fi
# No sanitizer: the code that is tried has no unsafe, and runs several times as fast without.
cargo +nightly fuzz build --fuzz-dir tests/fuzz/libfuzzer --sanitizer none
built=tests/fuzz/libfuzzer/target/$(rustc -vV | sed -n 's/^host: //p')/release

failed=0
for target in "${targets[@]}"; do
	work=target/fuzz/$target
	mkdir -p "$work"
	log=target/fuzz/$target.log
	result=held
	"$built/$target" -max_total_time="$seconds" -max_len=512 -timeout=20 -print_final_stats=1 \
		-artifact_prefix="$work-" "$work" "tests/fuzz/corpus/$target" >"$log" 2>&1 || result=FAILED
	[ $result = held ] || failed=1
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
	features=$(grep -oE ' cov: [0-9]+ ft: [0-9]+' "$log" | tail -1 || true)
	printf '%-14s %s: %s executions,%s\n' "$target" "$result" "${runs:-?}" "$features"
	[ $result = held ] || grep -aE -A2 'panicked at|^SUMMARY|Test unit written' "$log" >&2 || true
done
exit $failed
