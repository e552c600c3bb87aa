# The one entry point, for people and for CI. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# rustup's programs, also right after its installation.
export PATH := $(PATH):$(HOME)/.cargo/bin

CARGO := cargo
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
LINKED := $(TARGET)/wasm32-wasip1/release/flamegate.wasm
# The artifact must not depend on where it is built: panic messages hold paths of sources.
CARGO_FOLDER := $(if $(CARGO_HOME),$(CARGO_HOME),$(HOME)/.cargo)
SAME_PATHS := CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS='--remap-path-prefix=$(CARGO_FOLDER)=/cargo --remap-path-prefix=$(CURDIR)=/flamegate'

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install what is missing: wasm target, Envoy, Debian packages
	@envoy/setup.sh

.PHONY: wasm
wasm: setup ## build the filter: dist/flamegate.wasm
	$(CARGO) build --locked --profile dist -p flamegate-postlink
	$(SAME_PATHS) $(CARGO) rustc --locked --release --lib --crate-type cdylib --target wasm32-wasip1
	$(TARGET)/dist/flamegate-postlink $(LINKED) dist/flamegate.wasm
	$(SAME_PATHS) $(CARGO) rustc --locked --release --lib --crate-type cdylib --target wasm32-wasip1 --features response-headers
	$(TARGET)/dist/flamegate-postlink $(LINKED) dist/flamegate-response-headers.wasm

BROWSER_TESTS = cd tests/browser && node --test --test-concurrency=1 --test-timeout=900000 'suites/tour.test.mjs' \
		'suites/guards.test.mjs' 'suites/twice.test.mjs' 'suites/craft.test.mjs' 'suites/widths.test.mjs' \
		'suites/cookies.test.mjs' 'suites/times.test.mjs' 'suites/usage.test.mjs' 'suites/oidc.test.mjs' 'suites/sockets.test.mjs'
E2E_TESTS = RUST_TEST_THREADS=4 $(CARGO) test --locked -p flamegate-e2e
OLDEST_TESTS = @envoy/setup.sh --oldest && source envoy/versions.env && ENVOY_MATRIX=$${ENVOY_MATRIX%% *} envoy/matrix.sh contract grpc shared_vm

.PHONY: build
build: wasm ## build everything: also dist/flamegate-control
	$(CARGO) build --locked --profile dist -p flamegate-control -p demo-upstream
	install -D -t dist $(TARGET)/dist/flamegate-control $(TARGET)/dist/demo-upstream

.PHONY: image
image: wasm ## pack the filter as an OCI image for Istio and Envoy Gateway: dist/image
	@python3 -B envoy/image/build.py

.PHONY: sbom
sbom: build ## write what the control plane is built from, as CycloneDX: dist/flamegate-control.cdx.json
	@python3 -B envoy/image/sbom.py flamegate-control dist/flamegate-control dist/flamegate-control.cdx.json

.PHONY: release
release: build image sbom ## pack what a release has: dist/release (archive, image, lists of crates, checksums)
	@python3 -B envoy/image/release.py

.PHONY: test-release
test-release: ## check dist/release, and that it comes out the same twice (after `make release`; REBUILD=1 builds the filter again)
	REBUILD=$(REBUILD) python3 -B tests/release.py

.PHONY: test-image
test-image: ## check the image's layout, and that it comes out the same twice (after `make wasm`)
	python3 -B tests/image.py

.PHONY: compose-test
compose-test: build ## bring envoy/docker-compose.yaml up on a real engine, use it, take it down
	@tests/compose.sh

.PHONY: run
run: build ## run gateway, control plane and a demo upstream on loopback, until Ctrl-C
	@exec envoy/run.py

.PHONY: fleet
fleet: build engines ## run two gateways and two control planes on PostgreSQL on loopback, until Ctrl-C
	@exec envoy/fleet.py

.PHONY: test
test: build test-native test-alerts test-kubernetes test-image release test-release engines browser ## run all tests
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target side-e2e side-browser side-others

# What keeps less than two cores busy, two at a time: each prints when it is done.
.PHONY: side-e2e side-browser side-others
side-e2e:
	$(E2E_TESTS)
side-browser:
	$(BROWSER_TESTS)
side-others:
	$(OLDEST_TESTS)
	@tests/openapi.sh
	@tests/compose.sh

.PHONY: engines
engines: ## install the engines that tests and `make fleet` start: PostgreSQL, PgBouncer, Redis
	@tests/engines/setup.sh

# Many of them wait for what takes its time, so there are more at once than cores.
.PHONY: test-native
test-native: engines ## run the tests that need no Envoy
	RUST_TEST_THREADS=4 $(CARGO) test --locked --workspace --exclude flamegate-e2e
	FLAMEGATE_TEST_DATABASE=postgres $(CARGO) test --locked --workspace --exclude flamegate-e2e --test api -- create_key revoke_key usage

.PHONY: test-postgres
test-postgres: engines ## run all tests of the API and the pages on PostgreSQL
	FLAMEGATE_TEST_DATABASE=postgres $(CARGO) test --locked --workspace --exclude flamegate-e2e --test api --test pages

.PHONY: lending
lending: engines ## look at every state of a small fleet with fleet limits and one fault over two ticks: 9,271,652 of them, in minutes and a gigabyte
	FLAMEGATE_LENDING_TICKS=2 FLAMEGATE_LENDING_FAULTS=1 $(CARGO) test --locked -p flamegate-lending --test model -- --nocapture

.PHONY: test-alerts
test-alerts: ## run the unit tests of the alert rules, and check the Compose files without an engine
	@PROMTOOL=$$(tests/compose/promtool.sh) && export PROMTOOL && python3 -B tests/compose/static.py

.PHONY: test-kubernetes
test-kubernetes: ## render the manifests for Kubernetes, and hold them to its schemas
	@tests/kubernetes.sh

.PHONY: test-e2e
test-e2e: engines ## run the tests on a real Envoy (after `make build`)
	$(E2E_TESTS)

.PHONY: matrix
matrix: build ## run the end-to-end tests on every Envoy of envoy/versions.env; print a table
	@envoy/setup.sh --matrix
	@envoy/matrix.sh

.PHONY: test-oldest
test-oldest: ## run the contract on the oldest Envoy of the matrix (after `make build`)
	$(OLDEST_TESTS)

.PHONY: test-api
test-api: ## fuzz the REST API against its OpenAPI document (after `make build`)
	@tests/openapi.sh

.PHONY: browser
browser: ## install what the browser tests need: Node, Chromium, two npm packages
	@tests/browser/setup.sh

.PHONY: test-browser
test-browser: browser ## run the tests of the pages in a real Chromium (after `make build`)
	$(BROWSER_TESTS)

.PHONY: screenshots
screenshots: build browser ## take pictures of the pages: docs/images/*.png
	node tests/browser/screenshots.mjs

.PHONY: scale
scale: build ## sync 100,000 keys; print time and memory per key
	FLAMEGATE_SCALE_KEYS=100000 $(CARGO) test --locked -p flamegate-e2e --test scale -- --nocapture

.PHONY: latency
latency: build ## 200 rounds of create and revoke; print the times until every worker knows
	FLAMEGATE_LATENCY_ROUNDS=200 $(CARGO) test --locked -p flamegate-e2e --test latency -- --nocapture

.PHONY: plans
plans: build ## change a plan of KEYS (100,000) keys beside one key, ROUNDS (100) times, on a real Envoy; print times, pages and bytes
	FLAMEGATE_PLAN_KEYS=$(or $(KEYS),100000) FLAMEGATE_PLAN_ROUNDS=$(or $(ROUNDS),100) \
		$(CARGO) test --locked -p flamegate-e2e --test plans -- --nocapture

.PHONY: test-older
test-older: build ## run the filters of older revisions, REV or those of tests/older.txt, against today's control plane, and their upgrade and back
	@tests/older.sh $(REV)

.PHONY: check
check: setup ## check formatting, lints, documentation, floors and licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked -p flamegate --lib --target wasm32-wasip1 -- -D warnings
	$(CARGO) clippy --locked -p flamegate --lib --target wasm32-wasip1 --features response-headers -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps --document-private-items
	$(CARGO) test --locked -q -p flamegate --test floors
	python3 tests/licences.py

.PHONY: deny
deny: ## check licences, bans, sources and, where the database can be reached, advisories (installs cargo-deny, minutes)
	command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny@0.20.2
	cargo-deny --locked check bans licenses sources
	if cargo-deny --locked fetch db; then cargo-deny --locked check --disable-fetch advisories; \
		else echo 'deny: the advisory database cannot be reached, advisories were NOT checked' >&2; fi

.PHONY: bench-build
bench-build: wasm ## build the measuring program and what it compares with
	@tests/bench/setup.sh
	$(CARGO) build --locked --profile dist -p flamegate-bench
	$(CARGO) rustc --locked --release --lib --crate-type cdylib --target wasm32-wasip1 -p flamegate-empty-filter
	install -D $(TARGET)/wasm32-wasip1/release/flamegate_empty_filter.wasm target/bench/empty-filter.wasm

.PHONY: bench-service
bench-service:
	@tests/bench/limits-service/build.sh

.PHONY: bench
bench: bench-build build engines bench-service ## measure everything that is not measured of this build (some 45 minutes on a calm machine, by estimate) and write docs/PERFORMANCE.md
	$(TARGET)/dist/flamegate-bench all

.PHONY: bench-fleet
bench-fleet: bench-build build engines ## measure several control planes on PostgreSQL beside one on SQLite (minutes)
	$(TARGET)/dist/flamegate-bench fleet --save
	$(TARGET)/dist/flamegate-bench report

.PHONY: bench-limits
bench-limits: bench-build build engines bench-service ## measure one limit over three gateways beside what else there is (some six minutes)
	$(TARGET)/dist/flamegate-bench limits --save
	$(TARGET)/dist/flamegate-bench report

.PHONY: bench-check
bench-check: bench-build ## compare instruction counts with the committed ones; fails on more than 3 % worse
	$(TARGET)/dist/flamegate-bench check

.PHONY: bench-keys
bench-keys: bench-build build ## sync KEYS (100000) keys into a running Envoy: time, memory, stalls
	$(TARGET)/dist/flamegate-bench keys --keys $(or $(KEYS),100000)

.PHONY: soak
soak: build engines ## random operations and faults with seed SEED (1) for SECONDS (1800); FLEET=1: HISTORIES (20000) of receipts' model, and two control planes on PostgreSQL (600 s)
ifdef FLEET
	HISTORIES=$(or $(HISTORIES),20000) $(CARGO) test --locked -p flamegate-control --lib no_receipt_says_all_too_early -- --nocapture
	FLAMEGATE_CHAOS_SEED=$(or $(SEED),1) FLAMEGATE_CHAOS_FLEET_SECONDS=$(or $(SECONDS),600) \
		$(CARGO) test --locked -p flamegate-e2e --test chaos_fleet -- --nocapture
else
	FLAMEGATE_CHAOS_SEED=$(or $(SEED),1) FLAMEGATE_CHAOS_SECONDS=$(or $(SECONDS),1800) \
		$(CARGO) test --locked -p flamegate-e2e --test chaos -- --nocapture
endif

.PHONY: usage-million
usage-million: build ## REQUESTS (1,000,000) over two gateways; the control plane has counted what clients saw, to the last one
	FLAMEGATE_USAGE_REQUESTS=$(or $(REQUESTS),1000000) $(CARGO) test --locked -p flamegate-e2e --test usage -- what_clients_saw --nocapture

.PHONY: usage-plans
usage-plans: engines ## plans of all queries about use on both engines: 100,000 keys, each used on DAYS (52) days of a year; some GB
	FLAMEGATE_PLANS_KEYS=100000 FLAMEGATE_PLANS_DAYS=$(or $(DAYS),52) $(CARGO) test --locked -p flamegate-control --lib -- plans --nocapture --test-threads=1

.PHONY: failover
failover: engines ## kill PostgreSQL's primary KILLS (50) times under writes; the synchronous standby has lost nothing
	FLAMEGATE_FAILOVERS=$(or $(KILLS),50) $(CARGO) test --locked -p flamegate-control --test outages synchronous_standby_has -- --nocapture

.PHONY: fleet-failover
fleet-failover: build engines ## the engine of fleet limits fails over 50 times (KILLS) under load, and more goes wrong by SEED (1): nothing above the bound
	FLAMEGATE_FLEET_FAILOVERS=$(or $(KILLS),50) FLAMEGATE_CHAOS_SEED=$(or $(SEED),1) \
		$(CARGO) test --locked -p flamegate-e2e --test fleet_limits -- --ignored --nocapture through_failovers

.PHONY: hostile
hostile: ## hostile clients of all kinds at the control plane for SECONDS (60), among KEYS (100000) keys; memory, log, revocations
	FLAMEGATE_STRANGERS_SECONDS=$(or $(SECONDS),60) FLAMEGATE_STRANGERS_KEYS=$(or $(KEYS),100000) \
		$(CARGO) test --locked --profile dist -p flamegate-control --test strangers -- --nocapture

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZ_SECONDS (60) under libFuzzer (nightly; installs cargo-fuzz)
	@tests/fuzz/run.sh $(or $(FUZZ_SECONDS),60) $(FUZZ_TARGETS)

.PHONY: clean
clean: ## remove everything that was built (keeps .run/ and the downloaded Envoy)
	$(CARGO) clean
	rm -rf dist
