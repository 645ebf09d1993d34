# make demo: three real hosts on this machine, and a healthy etcd cluster on them. make test: everything that is tested.
# Each installs what it needs by package name (lab/deps); only Rust itself is the user's to bring.

CARGO ?= cargo
HAS_CARGO := $(shell command -v $(CARGO) 2>/dev/null)
ifeq ($(HAS_CARGO),)
$(error Rust is not installed here: get rustup and a stable toolchain, see the README)
endif

.PHONY: help demo demo-down test unit lint portable arm64 bench soak fuzz dist dist-test reproducible docs recording
help:
	@echo 'make demo | demo-down | test | unit | lint | portable | arm64 | bench | soak | fuzz | dist | dist-test | reproducible | docs | recording'

demo:
	lab/demo up

demo-down:
	lab/demo down

# SUITE='recover restore': only these suites on real hosts; `lab/suite` lists them.
test:
	lab/deps test
	$(if $(SUITE),lab/suite $(SUITE),lab/test)

# Without root: what needs no hosts and no servers. The same features as the suites on real hosts, so that one build serves both.
UNIT = architecture bounds cli last_resort paths printing proto
unit:
	$(CARGO) test --locked --features lab,fault --lib --bins $(UNIT:%=--test %)

lint:
	lab/deps lint
	$(CARGO) fmt --check
	shellcheck -x .ci/run $$(grep -lE '^#!/usr/bin/env bash|shellcheck shell' lab/* lab/bench/* lab/dist/* fuzz/* 2>/dev/null)
	$(CARGO) clippy --locked --all-targets --all-features -- -D warnings
	lab/deny

# The docs as a site, in target/site, every link in it checked: lab/book.
docs:
	lab/deps docs
	lab/book

# docs/demo.svg, the recording in the README: as root, on lab hosts.
recording:
	lab/record

# Does it compile for macOS, and say on Windows where to run it? rustup and no SDK: lab/portable.
portable:
	lab/portable

# A cluster on real hosts of which one is an arm64 machine, with etcd for it: emulated, and built for this alone.
arm64:
	lab/deps test
	lab/test --run-ignored all -E 'binary(lab) & test(/^arm64::/)'

bench:
	lab/deps bench
	lab/bench/run
	lab/bench/backup

# What `make test` does not take the time for: the simulator over many more worlds, so many for each of its five
# properties, and as root on real hosts every row of the tables of which `make test` tries one of each kind.
WORLDS ?= 200000
soak:
	QUORATE_WORLDS=$(WORLDS) $(CARGO) test --locked --release --lib sim::properties -- --nocapture
	lab/deps test
	QUORATE_SOAK=1 QUORATE_STATIC="$$(lab/build)" \
		lab/test --run-ignored all -E 'binary(lab) & test(/^(arm64|crash|kinds|matrix|releases|clients_kube|clients_monitoring)::/)'

# Coverage-guided, on the stable toolchain, each parser of foreign bytes for FUZZ_SECONDS (60) or FUZZ_RUNS inputs: fuzz/run.
fuzz:
	lab/deps fuzz
	fuzz/run

# The release, signed: make dist KEY=~/.ssh/id_ed25519. ARCH=x86_64 makes only that one.
ARCH ?= x86_64 aarch64
dist:
	lab/deps dist
	KEY='$(KEY)' lab/dist/run $(ARCH)

# `make dist` itself, for this machine's architecture and without optimisation, and every way to tamper with what it makes.
dist-test:
	lab/deps dist
	lab/dist/test

# Are two builds in different directories and by different users the same bytes? PROFILE=draft is quicker.
reproducible:
	lab/deps dist
	lab/dist/reproducible $(ARCH)
