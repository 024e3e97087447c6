# Needs Python >= 3.11, make and a C compiler; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint clean

help:
	@echo "make demo   train the standard CNN on STIR emoji and show it beside the published figure"
	@echo "make test   run the tests"
	@echo "make lint   check format, lint and types"
	@echo "make clean  remove the virtual environment and what was built"

# The stamps are renewed whenever the metadata or the pinned versions change.
$(VENV)/.run: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .[test]
	@touch $@

demo: $(VENV)/.run
	$(BIN)/benchmark run --model standard --dataset emoji --evaluation 2 --seed 1 --force

test: $(VENV)/.test
	$(BIN)/python -m pytest

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist *.egg-info
