# `make run` shows what banger does, on this very checkout; `make test` tests all of it. Both set up what they lack.

SHELL := /bin/bash
PYTHON := .venv/bin/python
unexport PYTHONDONTWRITEBYTECODE

WORKERS ?= $(shell n=$$(nproc); echo $$((n < 2 ? 2 : n > 6 ? 6 : n)))
ARGS ?=

PROOFS := sweep sweep-vm soak cycles cycles-vm faults databases model many-vms adopt-vm stops-vm

.PHONY: help run test check bench fuzz-layers fuzz-agent site man parity json-schema recording clean setup-run setup-test setup-fuzz $(PROOFS)
.PHONY: test-images setup-images explore

help:
	@echo 'make run     set up what is missing, then run a command in a machine with this repository in it'
	@echo 'make test    set up what is missing, then run all tests (ARGS="-k name" chooses)'
	@echo 'make check   style, types and import rules'
	@echo 'make bench   measure, and write docs/performance.md (ARGS="--only images" for a section of it)'
	@echo 'make soak    prove what docs/reliability.md says, and write it; also sweep, cycles, faults,'
	@echo '             databases, model; with real guests sweep-vm, cycles-vm, many-vms, adopt-vm, stops-vm (ARGS="--count 10" for fewer)'
	@echo 'make test-images  compare real images, built by others, with their trees in guests, boot the catalogue,'
	@echo '             and run containers in debian-dev; writes docs/tested-images.md (ARGS="--only busybox" for one)'
	@echo 'make fuzz-layers a million stacks of image layers against a model (ARGS="--count 20000 --seed 3")'
	@echo 'make explore run the property tests with other examples than `make test` (ROUNDS=5)'
	@echo 'make fuzz-agent  fuzz the guest agent (SECONDS=300)'
	@echo 'make parity  run the tests that prove what the first banger could do, and write docs/parity.md'
	@echo 'make site    build/site: this documentation for a browser; make man: build/man, manual pages;'
	@echo '             make recording: docs/session.svg, of a real session'
	@echo 'make clean   remove what the other commands made in this directory'

run: setup-run
	@.venv/bin/banger vm run --rm . -- sh -c 'uname -r; git log -1 --oneline; git status --short --branch'

# `loadgroup` hands tests out one by one, the long ones first.
test: setup-test
	@$(PYTHON) -m pytest --parity --numprocesses=$(WORKERS) --dist=loadgroup $(ARGS)

check: setup-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: setup-test
	$(PYTHON) -m bench $(ARGS)

$(PROOFS): setup-test
	$(PYTHON) -m tests.reliability $@ $(ARGS)

test-images: setup-images
	$(PYTHON) -m tests.images $(ARGS)
	$(if $(ARGS),,$(PYTHON) -m pytest -m images)

fuzz-layers: setup-test
	@$(PYTHON) -m tests.hostile.fuzz_layers $(ARGS)

explore: setup-test
	@for round in $$(seq $(or $(ROUNDS),5)); do \
		$(PYTHON) -m pytest -m hypothesis --hypothesis-profile=explore --numprocesses=$(WORKERS) $(ARGS) || exit; \
	done

fuzz-agent: setup-fuzz
	@PYTHON=$(CURDIR)/$(PYTHON) agent/fuzz/run.sh $(or $(SECONDS),300)

parity: setup-test
	@$(PYTHON) -m pytest --parity --numprocesses=$(WORKERS) --dist=loadgroup $$($(PYTHON) -m tests.parity) $(ARGS)

json-schema: setup-test
	$(PYTHON) -m banger.api.outputs >docs/json-schema.json

site: setup-test
	$(PYTHON) -m sphinx -q -W --keep-going -b html docs build/site

man: setup-test
	$(PYTHON) -m sphinx -q -W --keep-going -b man docs build/man

recording: setup-test
	$(PYTHON) docs/record_session.py

setup-run:
	@scripts/setup.sh run

setup-test:
	@scripts/setup.sh test

setup-images:
	@scripts/setup.sh images

setup-fuzz:
	@scripts/setup.sh fuzz

clean:
	rm -rf .venv build dist src/banger/guest/agents .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests bench agent -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
