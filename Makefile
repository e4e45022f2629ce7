# The whole interface of this repository. `make` alone says what there is.
#
# What a target needs is checked before it starts, and what is missing is named together with how to get it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Goes to `peal up` or `peal bench`: make run ARGS="--nodes 6 --port 8000"
ARGS ?=
# Goes to the tests of the Rust crates: make test TESTS="-p peal-node a_silent_client"
TESTS ?= --workspace
# Goes to the table of failures: parts of the names of rows.
ROWS ?=
# What needs no services: Kafka and Redis are built and tested beside the real ones.
FEATURES := --features peal-store/embedded,peal-store/conformance
# The cluster on Kafka and Redis: peal-node, peal-publisher, and `peal` with `topics`.
ON_SERVICES := peal-node/bin,peal-publisher/bin,peal-cluster/services
# The same with what needs services: make check SERVICES=1 builds everything once that make test-services needs as well.
SERVICES ?=
ifneq ($(SERVICES),)
FEATURES += --features $(ON_SERVICES)
endif

RUSTDOC = RUSTDOCFLAGS="--deny warnings --allow rustdoc::private_intra_doc_links" \
	cargo doc --workspace --no-deps --document-private-items --quiet $(FEATURES)

TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
CHROMIUM ?= /usr/bin/chromium
export CHROMIUM

CLUSTER := --package peal-node --package peal-publisher --package peal-cluster --bins --features $(ON_SERVICES)

# The same binaries for tests. Packages and features have to be these wherever a test is built or run: cargo compiles all
# dependencies again for any other set. These tests are named for the binaries that come with them.
ALL := --workspace --features peal-store/embedded,peal-store/conformance --features $(ON_SERVICES)
BUILD_TESTED := cargo test $(ALL) --no-run --test commands --test core_model --test publisher

# Kafka for what is measured: with the heap and the compilers of its own bin/kafka-server-start.sh, which take a minute or two to warm up.
STOCK_KAFKA := KAFKA_HEAP_OPTS="-Xms1G -Xmx1G" KAFKA_JVM_PERFORMANCE_OPTS="-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 \
-XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent"

# What npm writes when all of Artillery is there.
ARTILLERY := artillery/node_modules/.package-lock.json

.PHONY: help run cluster test check bench bench-services bench-publisher minute minute-services load services services-down test-services images test-k8s failure-table test-rust test-browser test-load test-api test-conformance \
	test-producers test-cdc test-failures test-manifests format lint lint-services docs has-rust has-python has-node has-producers has-maven has-chromium

help: ## Say what there is
	@echo "Peal: everybody in a community is told what happened in it, once, in order."
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'make run ARGS="--nodes 6 --port 8000" passes words on to `peal up`, and so does make bench to `peal bench`;'
	@echo 'cargo run --release -p peal-cluster -- --help says which there are.'

run: has-rust ## Build and run a cluster at http://127.0.0.1:7000; the first build takes some minutes
	@cargo build --release --package peal-cluster
	@exec "$(TARGET_DIR)/release/peal" up $(ARGS)

cluster: has-rust ## The same on a real Kafka and Redis, each part a process of its own
	@cargo build --release $(CLUSTER)
	@BIN="$(TARGET_DIR)/release" exec services/cluster.sh

test: test-rust test-browser ## Run all tests, those of the page in a real browser among them; under ten minutes

check: format lint docs test test-api ## Everything that has to hold before a commit: format, lints, docs, all tests

bench: has-rust ## Measure memory, throughput and latency on this machine; two to three minutes
	@cargo build --release --package peal-cluster
	@"$(TARGET_DIR)/release/peal" bench $(ARGS)

bench-services: has-rust ## Measure the nodes of a cluster on a real Kafka and Redis, beside librdkafka alone
	@cargo build --release $(CLUSTER)
	@cargo build --release --package peal-store --features kafka --example kafka_floor
	@eval "$$($(STOCK_KAFKA) services/up.sh)"; trap services/down.sh EXIT; \
		redis-cli -u "$$PEAL_REDIS/9" flushdb > /dev/null; \
		"$(TARGET_DIR)/release/peal" bench --services --redis "$$PEAL_REDIS/9" $(ARGS)

bench-publisher: has-rust ## Measure what a publisher costs on a real Kafka and Redis, beside a bare handler around librdkafka
	@cargo build --release $(CLUSTER)
	@cargo build --release --package peal-store --features kafka --example publisher_floor
	@eval "$$($(STOCK_KAFKA) services/up.sh)"; trap services/down.sh EXIT; \
		redis-cli -u "$$PEAL_REDIS/9" flushdb > /dev/null; \
		"$(TARGET_DIR)/release/peal" bench --services --publisher --redis "$$PEAL_REDIS/9" $(ARGS)

minute: has-rust ## An ordinary minute: 5,000 joins a second for 60 s to `peal up`, and none may fail
	@cargo build --release --package peal-cluster
	@"$(TARGET_DIR)/release/peal" bench --joins 5000 $(ARGS)

minute-services: has-rust ## The same to a publisher on a real Kafka and Redis
	@cargo build --release $(CLUSTER)
	@eval "$$($(STOCK_KAFKA) services/up.sh)"; trap services/down.sh EXIT; \
		redis-cli -u "$$PEAL_REDIS/9" flushdb > /dev/null; \
		"$(TARGET_DIR)/release/peal" bench --services --redis "$$PEAL_REDIS/9" --joins 5000 $(ARGS)

load: has-rust has-node $(ARTILLERY) ## Run the load plans, and write docs/load.md (make load SERVICES=1 on a real Kafka and Redis)
	@cargo build --release $(if $(SERVICES),$(CLUSTER),--package peal-cluster)
	@if [ -n "$(SERVICES)" ]; then eval "$$($(STOCK_KAFKA) services/up.sh)"; trap services/down.sh EXIT; export PEAL_REDIS="$$PEAL_REDIS/9"; fi; \
		"$$(artillery/node)" artillery/report/run.js "$(TARGET_DIR)/release" $(if $(SERVICES),--services) $(ARGS)

services: ## Start a real Kafka and a real Redis on loopback (make services BROKERS=3 for three brokers)
	@services/up.sh

services-down: ## Stop them again
	@services/down.sh

test-services: lint-services test-conformance test-producers test-cdc test-failures ## Kill Kafka, Redis, nodes and publishers for real; under 28 minutes

images: has-rust ## Build the images of node, publisher and `peal` with docker, podman or buildah, as archives in target/images too
	@k8s/images/build.sh

test-k8s: has-rust ## Break a cluster on Kubernetes while clients listen (k8s/README.md); says SKIP where none is named
	@k8s/test/run.sh

# The parts of `make test` and `make check`, each of use alone.

# Every overlay of k8s/ against the schemas of Kubernetes, without a cluster; kubectl and schemas from PyPI.
test-manifests: has-python
	@VENV="$(TARGET_DIR)/kubernetes-validate" k8s/test/validate.sh

test-rust: has-rust
	cargo test $(FEATURES) $(TESTS)

test-browser: has-rust has-node has-chromium
	cargo test --workspace $(FEATURES) --no-run --test commands
	cd browser && npm ci --no-audit --no-fund --silent && npm run --silent check
	cd browser && PEAL_BIN="$(TARGET_DIR)/debug/peal" npm run --silent e2e

# Every load plan in its short form, which passes, and fails when a notification is withheld; about a minute and a half.
test-load: has-rust has-node $(ARTILLERY)
	cargo test --workspace $(FEATURES) --no-run --test commands
	cd artillery && npm run --silent check
	cd artillery && PEAL_BIN="$(TARGET_DIR)/debug/peal" npm run --silent test

# Only when it has changed: it is 650 MB, most of it for clouds that no plan uses.
$(ARTILLERY): artillery/package-lock.json
	cd artillery && npm ci --no-audit --no-fund --silent
	@touch "$@"

# Some 1,500 requests made from the documents of the interface, each answer held to them; half a minute.
test-api: has-rust has-python
	cargo test --workspace $(FEATURES) --no-run --test commands
	@PEAL_BIN="$(TARGET_DIR)/debug/peal" VENV="$(TARGET_DIR)/schemathesis" schemathesis/run.sh

test-conformance: has-rust
	@eval "$$(services/up.sh)"; trap services/down.sh EXIT; \
		cargo test $(ALL) --test kafka --test redis

# The programs of docs/producing/, with the commands of docs/producing.md.
test-producers: has-rust has-node has-producers
	$(BUILD_TESTED)
	cargo test $(ALL) --test producers

# A table of members in PostgreSQL, followed through Debezium.
test-cdc: has-rust has-maven
	$(BUILD_TESTED)
	cargo test $(ALL) --test cdc -- --nocapture

# One row: make test-failures ROWS=redis_empty
test-failures: has-rust
	$(BUILD_TESTED)
	cargo test $(ALL) --test failures -- $(ROWS)

failure-table: ROWS := --table $(CURDIR)/docs/failure.md
failure-table: test-failures ## The same table of failures, written to docs/failure.md

format: has-rust
	cargo fmt --all --check

lint: has-rust
	cargo clippy --workspace --all-targets $(FEATURES) -- --deny warnings

# Tests on services are named, as no other command builds them unasked.
lint-services: has-rust
	cargo clippy $(ALL) --all-targets -- --deny warnings
	cargo clippy $(ALL) --test kafka --test redis --test producers --test cdc --test failures -- --deny warnings
	$(RUSTDOC) --features $(ON_SERVICES)

docs: has-rust
	$(RUSTDOC)

# What a machine needs.

has-rust:
	@command -v cargo > /dev/null || { \
		echo "Rust is missing. Get it from https://rustup.rs; the version in rust-toolchain.toml is fetched by itself." >&2; \
		exit 1; }
	@command -v cc > /dev/null || { \
		echo "A C compiler is missing: the allocator is written in C. On Debian: apt-get install build-essential;" >&2; \
		echo "on macOS: xcode-select --install." >&2; \
		exit 1; }

has-node:
	@command -v npm > /dev/null && node --eval 'process.exit(+(parseInt(process.versions.node) < 20))' || { \
		echo "Node.js 20 or newer with npm is missing; only the page's tests and the load plans need it. On Debian:" >&2; \
		echo "apt-get install nodejs npm; elsewhere: https://nodejs.org." >&2; \
		exit 1; }

has-python:
	@python3 -c 'import ensurepip' 2> /dev/null || { \
		echo "Python with venv is missing; only the test of the interface's documents needs it. On Debian:" >&2; \
		echo "apt-get install python3-venv; elsewhere: https://www.python.org." >&2; \
		exit 1; }

has-producers:
	@command -v javac > /dev/null && command -v mvn > /dev/null && python3 -c 'import ensurepip' 2> /dev/null || { \
		echo "A JDK, Maven or Python with venv is missing; only the test of other producers needs all. On Debian:" >&2; \
		echo "apt-get install default-jdk-headless maven python3-venv." >&2; \
		exit 1; }

has-maven:
	@command -v java > /dev/null && command -v mvn > /dev/null && command -v curl > /dev/null || { \
		echo "Java 17, Maven or curl is missing; only the tests on real services need them. On Debian:" >&2; \
		echo "apt-get install default-jre-headless maven curl." >&2; \
		exit 1; }

has-chromium:
	@test -x "$(CHROMIUM)" || if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		echo "Chromium is missing and is installed now."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium; \
	else \
		echo "Chromium is missing at $(CHROMIUM); only the tests of the page need it. On Debian, as root:" >&2; \
		echo "apt-get install chromium; elsewhere, name one you have: make test CHROMIUM=/path/to/chrome." >&2; \
		exit 1; \
	fi
