# Everything a contributor or an operator runs. Needs Python >= 3.11, git and make; the rest is set up here.
#   make help

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Installing again is needed only when pyproject.toml changed.
STAMP  := $(VENV)/.installed-$(shell cksum pyproject.toml | cut -d' ' -f1)
APT    := apt-get -o DPkg::Lock::Timeout=120
FUZZ_FOR ?= 60
# Commands that the tests run beside Python's own packages.
NEEDED := curl:curl jq:jq sshd:openssh-server
# Those that backups are measured beside; without them their rows say so.
PEERS  := restic:restic borg:borgbackup openssl:openssl

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help system install test lint format types bench bench-detect drill-detect fuzz demo demo-levers demo-restore serve scenarios clean

help: ## Show this list.
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: system $(STAMP)-dev ## Set up, then lint, format check, mypy --strict, tests and doc snippets.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

install: $(STAMP)-dev ## Set up .venv with everything for development.

lint: $(STAMP)-dev ## Lint and check the format.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)-dev ## Sort imports, fix what can be fixed, format.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP)-dev ## Check types with mypy --strict.
	$(BIN)/mypy

demo: $(STAMP)-run ## Break the reference app six times, and heal it, then run it through an incident (at most 90 s).
	$(BIN)/python -m examples.reference_app.demo

demo-levers: $(STAMP)-run ## Kill, hang, leak and crash workers, and see each repaired or given up in time (at most 90 s).
	$(BIN)/python -m examples.demo_levers

demo-restore: $(STAMP)-run ## Destroy config, data and state of the reference app, and restore them under traffic (about 30 s).
	$(BIN)/python -m examples.demo_restore

serve: $(STAMP)-run ## Run the reference app on port 3001 until interrupted.
	$(BIN)/python -m examples.reference_app

scenarios: $(STAMP)-run ## Prove the eight scenarios, on the virtual clock and on the running app.
	$(BIN)/python -m examples.eight_scenarios

bench: $(STAMP)-bench ## Measure everything that has a gate beside its peers.
	-@$(MAKE) --no-print-directory system NEEDED='$(PEERS)'
	$(BIN)/python -m benchmarks

bench-detect: $(STAMP)-bench ## Measure detection; DATA=folder judges recorded series too (in nab/, asd/, smd/, services/).
	$(BIN)/python -m benchmarks.bench_detect $(if $(DATA),--data '$(DATA)')

drill-detect: $(STAMP)-run ## Do real faults to real processes, and see them detected, and nothing else (3 min; RUNS=10 of each).
	$(BIN)/python -m benchmarks.drill_detect $(if $(RUNS),--runs $(RUNS))

fuzz: $(STAMP)-dev ## Try to break conditions and strategy files, FUZZ_FOR seconds each (default 60).
	$(BIN)/python -m pip install --quiet --group fuzz
	$(BIN)/python -m tests.fuzz.fuzz_conditions -max_total_time=$(FUZZ_FOR) -timeout=5
	$(BIN)/python -m tests.fuzz.fuzz_strategies -max_total_time=$(FUZZ_FOR) -timeout=5 -len_control=0

clean: ## Remove .venv, caches and builds.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

system: ## Install the packages that tests or benchmarks need (Debian and Ubuntu, as root), or name those missing.
	@missing=; for need in $(NEEDED); do \
		PATH="$$PATH:/usr/sbin:/sbin" command -v "$${need%:*}" >/dev/null 2>&1 || missing="$$missing $${need#*:}"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		echo "installing:$$missing"; \
		$(APT) update -qq && DEBIAN_FRONTEND=noninteractive $(APT) install -y -qq --no-install-recommends $$missing; \
	else \
		echo "make: these packages are needed, please install them:$$missing" >&2; exit 1; \
	fi

# The environment itself. Made anew when it was left half made.
$(BIN)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "make: Python 3.11 or later is needed; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." >&2; \
		echo "      Name one: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
			$(APT) update -qq && DEBIAN_FRONTEND=noninteractive $(APT) install -y -qq python3-venv; \
		else \
			echo "make: '$(PYTHON)' comes without venv: install python3-venv." >&2; exit 1; \
		fi; }
	$(PYTHON) -m venv --clear $(VENV)
	@# Dependency groups need pip 25.1; Python 3.11 ships an older one.
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(STAMP)-dev: | $(BIN)/.made
	$(BIN)/python -m pip install --quiet --editable '.[all]' --group dev
	@touch $@

$(STAMP)-run: | $(BIN)/.made
	$(BIN)/python -m pip install --quiet --editable '.[web]'
	@touch $@

$(STAMP)-bench: | $(BIN)/.made
	$(BIN)/python -m pip install --quiet --editable . --group bench
	@touch $@
