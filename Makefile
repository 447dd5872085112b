# make demo    a shop behind a gateway, and a guided tour (ONCE=1: leave after the tour)
# make test    build, and run every test
# make bench   what a request costs, beside nginx, Envoy, HAProxy and uvicorn (OPTIONS="--scenario http1 --quick")
# make lint    format, lints and types
# make build   the release engine, into .venv

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build
.PHONY: build demo test bench lint clean need-python need-rust

BIN := .venv/bin
MATURIN := VIRTUAL_ENV="$(CURDIR)/.venv" $(BIN)/maturin
SOURCES := $(shell find crates python -name '*.rs' -o -name Cargo.toml -o -name pyproject.toml) Cargo.toml Cargo.lock pyproject.toml
# One module is installed at a time; a stamp says of which profile it is.
RELEASE := .venv/.release
DEBUG := .venv/.debug

# The newest python3 that is new enough and starts; `make PYTHON=python3.12` overrules it.
CANDIDATES := python3.14 python3.13 python3.12 python3.11 python3
ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in $(CANDIDATES); do $$name -c '$(ENOUGH)' 2>/dev/null && { echo $$name; break; }; done)

DEPENDENCIES := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")

build: $(RELEASE)

demo: $(RELEASE)
	@$(BIN)/tidegate demo $(if $(ONCE),--once)

test: $(DEBUG)
	cargo test --workspace --exclude tidegate-native
	$(BIN)/python -m pytest -rs $(PYTEST)

bench: $(RELEASE)
	$(BIN)/python -m benchmarks $(OPTIONS)

lint: .venv/.packages
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo check --quiet --manifest-path crates/http1/fuzz/Cargo.toml --target-dir target/fuzz
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy python tests benchmarks examples

$(RELEASE): .venv/.packages $(SOURCES) | need-rust
	@echo "building the release engine (some minutes the first time)"
	@rm -f $(DEBUG)
	$(MATURIN) develop --release
	@touch $@

# Tests use the profile that `cargo test` builds anyway, so that little is compiled twice.
$(DEBUG): .venv/.packages $(SOURCES) | need-rust
	@rm -f $(RELEASE)
	$(MATURIN) develop
	@touch $@

.venv/.packages: pyproject.toml | need-python need-rust
	@test -x $(BIN)/python || { echo "making .venv with $$($(PYTHON) --version)"; $(PYTHON) -m venv .venv \
	  || { rm -rf .venv; echo "cannot make .venv: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }; }
	@echo "installing Python packages"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -c '$(DEPENDENCIES)' | $(BIN)/python -m pip install --quiet --group dev 'maturin>=1.9,<2' -r /dev/stdin
	@touch $@

need-python:
	@test -n "$(PYTHON)" || { echo "tidegate needs Python 3.11 or later, and found none: install python3 and python3-venv" >&2; exit 1; }

need-rust:
	@command -v cargo >/dev/null || { echo "tidegate needs Rust to build its engine, and found no cargo: install it from https://rustup.rs and run make again" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "tidegate needs a C compiler to build its engine, and found no cc: on Debian and Ubuntu, apt install build-essential" >&2; exit 1; }

clean:
	rm -rf target .venv python/tidegate/_native*.so
