# `make demo` and `make test` are all a newcomer needs; both build .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
SOURCES := pyproject.toml requirements-dev.txt constraints.txt $(wildcard plugins/*/pyproject.toml)

.PHONY: setup demo test check format clean

setup: $(STAMP)

# hatchling and editables come first, so that a dozen editable installs share one build backend
# instead of fetching it a dozen times.
$(STAMP): $(SOURCES)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "medscale needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt hatchling editables
	$(BIN)/python -m pip install --quiet --no-build-isolation -c constraints.txt -r requirements-dev.txt
	touch $(STAMP)

demo: setup
	$(BIN)/medscale run --dataset phantom --task lv --aug none,red --sizes 1..16 --replicates 3 \
	  --shape 64 --budget steps=120 --set res_unet.width=8 --out runs/demo
	@echo "The curve is in runs/demo/curve.png, every number in runs/demo/results.csv."

test: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy core cli tests benchmarks $(wildcard plugins/medscale-*/src)

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) runs previews
