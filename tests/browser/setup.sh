#!/usr/bin/env bash
# Installs what the browser tests need and is not there yet; prints each step and why. Safe to repeat, and quick when
# nothing is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# shellcheck source=envoy/packages.sh
source ../../envoy/packages.sh browser

have node || install_packages "no Node, which drives the browser" nodejs
have npm || install_packages "no npm, which fetches the driver" npm
[[ $(node --version) =~ ^v([0-9]+) && ${BASH_REMATCH[1]} -ge 20 ]] || fail "Node $(node --version) is too old: 20 is needed"
[[ -n ${CHROMIUM:-} ]] || have chromium || have google-chrome ||
    install_packages "no Chromium, which the pages are tested in" chromium fonts-liberation2
if ! cmp -s package-lock.json node_modules/.installed; then
    step "no playwright-core or axe-core: fetching them"
    npm ci --no-progress --silent
    cp package-lock.json node_modules/.installed
fi
