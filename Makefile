# `make run` and `make test` need nothing but python3: they create .venv and install into it what is missing.
PYTHON ?= python3
STAMP := .venv/.installed

.PHONY: run test test-oldest lint clean

run: $(STAMP)
	.venv/bin/brandon run --recipe demo

test: $(STAMP)
	.venv/bin/python -m pytest -n 2 --dist loadfile

# The model's tests with the oldest versions the package states. Downloads several GB: there is no other build of that torch.
test-oldest:
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install -qq --disable-pip-version-check -c constraints-oldest.txt -e '.[dev]'
	.venv-oldest/bin/python -m pytest tests/test_model_*.py tests/test_attention.py

lint: $(STAMP)
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

clean:
	rm -rf .venv .venv-oldest build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): setup.py constraints.txt $(wildcard brandon_hf/runtime/engine/*.[chi]*)
	@echo "Installing into .venv: some minutes and 2 GB the first time, without a word until it is done"
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[eval,export,demo,dev]'
	@touch $@
