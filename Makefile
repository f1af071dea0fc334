# Everything runs in .venv. Set-up needs the network once; it repeats only when pyproject.toml or
# constraints.txt changes, or when .venv is missing, broken or of another Python than $(PYTHON).
# The oldest and the newest versions allowed have environments of their own, set up in the same way.

PYTHON ?= python3
VENV := .venv
CONSTRAINTS := constraints.txt
BIN := $(VENV)/bin
# Two workers, one thread each: many small tests gain more from that than from threads within one.
WORKERS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)
PIP_INSTALL = $(BIN)/python -m pip --disable-pip-version-check install $(addprefix -c ,$(CONSTRAINTS))

SETUP_FILES := pyproject.toml $(CONSTRAINTS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-long test-lowest test-newest run-tests docs bench evidence-quick clean FORCE

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.demo-stamp ## Set up .venv and run examples/quickstart.py
	$(BIN)/python examples/quickstart.py

test: $(VENV)/.test-stamp ## Set up .venv, lint, check types, run the tests
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(PYTEST) -m "not long"

test-long: $(VENV)/.test-stamp ## Run the tests that take minutes
	$(PYTEST) -m long

test-lowest: ## Run the tests with the lowest versions allowed, in .venv-lowest
	$(MAKE) VENV=.venv-lowest CONSTRAINTS=constraints-lowest.txt run-tests

test-newest: ## Run the tests with the newest versions there are, in .venv-newest
	rm -f .venv-newest/.test-stamp
	$(MAKE) VENV=.venv-newest CONSTRAINTS="" UPGRADE="--upgrade --upgrade-strategy eager" run-tests

run-tests: $(VENV)/.test-stamp
	@$(BIN)/python --version
	@$(BIN)/python -m pip list --format=freeze | grep -E '^(torch|scikit-learn|skorch|numpy|joblib|tqdm)=='
	$(PYTEST) -m "not long"

docs: $(VENV)/.docs-stamp ## Build the documentation into docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.test-stamp ## Time steps, fits and memory beside plain skorch (some minutes)
	$(BIN)/python -W ignore benchmarks/bench_step.py
	$(BIN)/python -W ignore benchmarks/bench_fit.py
	$(BIN)/python -W ignore benchmarks/bench_memory.py

# With DATA=DIR, a folder with letter.npz and shuttle.npz, those two as well.
QUICK_CELLS := digits/pair40 'digits (demo)/uniform40' $(if $(DATA),letter/pair40 shuttle/uniform40)
EVIDENCE ?= evidence

evidence-quick: $(VENV)/.test-stamp ## Compare the main methods on one noisy cell a data set (minutes)
	mkdir -p $(EVIDENCE)
	$(BIN)/python -W ignore benchmarks/bench_accuracy.py --cells $(QUICK_CELLS) --seeds 0 \
		--methods plain "stopped early, fine-tuned" "GDW (paper)" "class pairs" \
		--data "$(or $(DATA),.)" --out $(EVIDENCE)/quick.jsonl
	$(BIN)/python benchmarks/accuracy_tables.py $(EVIDENCE)/quick.jsonl --folder $(EVIDENCE)

clean: ## Remove the environments, caches and build products
	rm -rf .venv .venv-lowest .venv-newest build dist docs/_build docs/auto_examples docs/generated
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage htmlcov quickstart.png
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up -----------------------------------------------------------------------------------

$(VENV)/.demo-stamp: EXTRAS = plot
$(VENV)/.test-stamp: EXTRAS = test
$(VENV)/.docs-stamp: EXTRAS = docs
$(VENV)/.demo-stamp $(VENV)/.test-stamp $(VENV)/.docs-stamp: $(SETUP_FILES) $(VENV)/.python
	@echo "Installing skgdw[$(EXTRAS)] into $(VENV) (once; this takes some minutes) ..."
	@# The build backend is installed first, so that it too is the one pinned.
	$(PIP_INSTALL) $(UPGRADE) --quiet hatchling editables
	$(PIP_INSTALL) $(UPGRADE) --no-build-isolation -e ".[$(EXTRAS)]"
	@touch $@

# Looked at in every run, touched only when the environment had to be made (anew).
IDENTITY := import sys; print(sys.base_prefix, *sys.version_info[:2])
$(VENV)/.python: FORCE
	@wanted=$$($(PYTHON) -c '$(IDENTITY)' 2>/dev/null) \
		&& $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "skgdw needs Python 3.11 or newer, but \`$(PYTHON)\` is: $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Name another interpreter: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }; \
	if [ "$$($(BIN)/python -c '$(IDENTITY)' 2>/dev/null)" != "$$wanted" ]; then \
		$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
			echo "\`$(PYTHON)\` cannot make virtual environments: install its venv module" >&2; \
			echo "(on Debian and Ubuntu the package python3-venv), then try again." >&2; exit 1; }; \
		echo "Making $(VENV) with $$($(PYTHON) --version) ..."; \
		$(PYTHON) -m venv --clear $(VENV) && touch $@; \
	elif [ ! -e $@ ]; then touch $@; fi

FORCE:
