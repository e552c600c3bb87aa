#!/usr/bin/env bash
# Runs a test program (cargo's runner in .ci/run). A test that fails there runs once more, alone, on a machine that may have been
# busy with other work: one that fails twice fails the run, one that passes is named as flaky, for somebody to repair.
set -uo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT

"$@" 2>&1 | tee "$log"
code=${PIPESTATUS[0]}
[[ $code == 0 ]] && exit 0

# The last list of failures: names, indented by four spaces, below the second "failures:".
mapfile -t failed < <(awk '/^failures:$/ { n = 0; next } /^    [^ ]+$/ { names[n++] = $1 } END { for (i = 0; i < n; i++) print names[i] }' "$log")
# No list: the program itself came to an end.
[[ ${#failed[@]} == 0 ]] && exit "$code"

for name in "${failed[@]}"; do
    # With --include-ignored as well: a test that is left out has not passed.
    "$1" --exact "$name" --include-ignored --test-threads=1 2>&1 | tee "$log" || exit
    if ! grep -q '^test result: ok\. 1 passed;' "$log"; then
        printf '%s of %s failed, and did not run again\n' "$name" "${1##*/}" >&2
        exit "$code"
    fi
    printf '!!! flaky: %s of %s failed once and passed alone\n' "$name" "${1##*/}"
done
