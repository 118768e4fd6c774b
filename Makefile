# `make run` and `make test` need nothing but python3: they create .venv and install into it what is missing.
PYTHON ?= python3
STAMP := .venv/.installed

.PHONY: run test lint clean

run: $(STAMP)
	.venv/bin/python scripts/quickstart.py

test: $(STAMP)
	.venv/bin/python -m pytest

lint: $(STAMP)
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): setup.py constraints.txt
	@echo "Installing into .venv (some minutes the first time)"
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[eval,export,dev]'
	@touch $@
