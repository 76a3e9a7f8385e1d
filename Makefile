# make demo: paint a picture.  make test: run the tests.  Both need only Python 3.11+ and make.
PYTHON ?= python3
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint clean

demo: .venv/installed
	.venv/bin/impasto stylize examples/coffee.jpg swirl --size 384 -o demo.png --force

test: .venv/installed-test
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2

lint: .venv/installed-dev
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e .
	touch $@

.venv/installed-test: .venv/installed
	$(PIP) -e ".[test]"
	touch $@

.venv/installed-dev: .venv/installed
	$(PIP) -e ".[test,dev]"
	touch $@

clean:
	rm -rf .venv build dist demo.png
