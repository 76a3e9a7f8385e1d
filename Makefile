# demo: paint a picture.  test, lint: check the code.  wheel: build the package and try it in an empty environment.
# All need only Python 3.11+ and make.
PYTHON ?= python3
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
TRIED = build/tried

.PHONY: demo test lint wheel clean

demo: .venv/installed
	.venv/bin/impasto stylize examples/coffee.jpg swirl --size 384 -o demo.png --force

test: .venv/installed-test
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2

lint: .venv/installed-dev
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

wheel: .venv/bin/python
	rm -rf dist $(TRIED)
	.venv/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	$(PYTHON) -m venv $(TRIED)
	$(TRIED)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$$(ls dist/*.whl)[train,digits]"
	cp examples/coffee.jpg $(TRIED)
	cd $(TRIED) && bin/impasto stylize coffee.jpg starry_night --quality draft --size 128 -o painted.png
	cd $(TRIED) && bin/impasto apply starry_night coffee.jpg --size 256 -o starry.png
	cd $(TRIED) && bin/impasto train vae mnist5k --steps 20 --quiet && bin/impasto sample vae-mnist5k -o digits.png
	ls -l dist/*.whl

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
