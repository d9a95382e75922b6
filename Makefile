# make demo   set everything up, run the quickstart, print where the report is
# make demo-judging   run the quickstart, have simulated raters judge it, open the study
# make test   set everything up, run the tests

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TESTS_AT_ONCE ?= 2

.PHONY: install demo demo-judging test test-full check format bench bench-gpu verify-stats clean help

help:
	@sed -n 's/^# make/make/p' Makefile; echo "make test-full, make check, make format, make bench, make verify-stats, make clean"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: install
	$(BIN)/qingting run examples/quickstart.yaml

demo-judging: install
	$(BIN)/qingting run examples/quickstart.yaml
	$(BIN)/qingting judge demo --run runs/quickstart --force

test: install
	$(BIN)/python -m pytest -m "not slow" -q -n $(TESTS_AT_ONCE) --dist loadfile

test-full: install
	$(BIN)/python -m pytest -q

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/unit/docs

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	$(BIN)/python benchmarks/trainer_speed.py
	$(BIN)/python benchmarks/data_check.py

bench-gpu: install
	$(BIN)/python benchmarks/gpu_memory.py
	$(BIN)/python benchmarks/gpu_speed.py

verify-stats: install
	cd benchmarks && OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 ../$(BIN)/python verify_stats.py

clean:
	rm -rf $(VENV) runs build dist src/*.egg-info
