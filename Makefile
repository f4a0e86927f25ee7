# Everything here works on a machine that has Python 3.11 or newer and make: each target sets up what
# it needs, in .venv, from locks with hashes.

PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
BIN := .venv/bin
OUT := .
PROTOS := $(sort $(patsubst protos/%,%,$(wildcard protos/orderes/*/*.proto protos/orderes/*/*/*.proto)))
SERVICES := $(filter %_service.proto,$(PROTOS))
STUBS := v1 events type
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
# What the contract must stay compatible with: main, or on main itself the commit before.
AGAINST := $(shell git rev-parse --quiet --verify main >/dev/null 2>&1 && { \
	[ "$$(git rev-parse HEAD)" = "$$(git rev-parse main)" ] && git diff --quiet HEAD -- protos \
	&& git rev-parse --quiet --verify main~1 || git rev-parse main; })

.DEFAULT_GOAL := help
.PHONY: help setup run test crash projections bench bursts reads lint protos lock clean

help: ## Say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

setup: .venv/development ## Install everything, for working on it

run: .venv/runtime ## Start the three processes (ARGS="--queue-capacity 100" and so on)
	@$(BIN)/orderes up $(ARGS)

test: .venv/development ## Run the tests (ARGS="-k name" and so on)
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal $(ARGS)

crash: .venv/development ## Kill the write server under load, again and again (ROUNDS=100)
	@ORDERES_CRASH_ROUNDS=$(or $(ROUNDS),100) $(BIN)/python -m pytest \
		tests/system/test_crash.py -k killed -s $(ARGS)

projections: .venv/development ## Kill, freeze and rebuild the projector under load (ROUNDS=50 WRITES=10000)
	@ORDERES_PROJECTOR_ROUNDS=$(or $(ROUNDS),50) ORDERES_READ_YOUR_WRITES=$(or $(WRITES),10000) \
		$(BIN)/python -m pytest tests/system/test_read_side.py -s $(ARGS)

bursts: .venv/development ## Measure the write server under bursts (ARGS="--seconds 20 --json FILE")
	@$(BIN)/python -m benchmarks.bursts $(ARGS)

bench: .venv/development ## Measure commands and queries beside an empty RPC (ARGS="--rounds 5 --json FILE")
	@$(BIN)/python -m benchmarks.bench $(ARGS)

reads: .venv/development ## Measure the read side (ARGS="--events 100000 --json FILE")
	@$(BIN)/python -m benchmarks.reads $(ARGS)

lint: .venv/development ## Check types, style, import rules, the contract and its stubs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(if $(AGAINST),$(BIN)/buf breaking --against '.git#ref=$(AGAINST)',\
		@echo "buf breaking: there is no earlier contract to compare with")
	@rm -rf build/stubs && mkdir -p build/stubs && $(MAKE) --no-print-directory protos OUT=build/stubs
	@for part in $(STUBS); do \
		diff -r -x __pycache__ build/stubs/orderes/$$part orderes/$$part \
		|| { echo "the stubs are not those of protos/: make protos"; exit 1; }; done

protos: .venv/development ## Generate the stubs in orderes/ from protos/
	@$(BIN)/python -m grpc_tools.protoc -I protos \
		--plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
		--python_out=$(OUT) --mypy_out=quiet:$(OUT) $(PROTOS)
	@$(BIN)/python -m grpc_tools.protoc -I protos \
		--plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
		--grpc_python_out=$(OUT) --mypy_grpc_out=quiet:$(OUT) $(SERVICES)
	@find $(addprefix $(OUT)/orderes/,$(STUBS)) -type d ! -name __pycache__ \
		-exec touch {}/__init__.py \;

lock: .venv/development ## Choose the newest versions that pyproject.toml allows
	$(LOCK) --extra fast --extra build --upgrade -o requirements.lock
	$(LOCK) --extra fast --extra build --extra test --extra lint --upgrade \
		--constraints requirements.lock -o requirements-dev.lock

clean: ## Remove what was installed and built; data stays
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "OrderES needs Python 3.11 or newer: install it, or say where \
	it is with make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/runtime: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing what OrderES runs on, once ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

.venv/development: requirements-dev.lock .venv/runtime
	@echo "Installing what its tests and checks need, once ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
