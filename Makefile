# Every target makes the environment first, so that each works on a fresh clone.
PY := .venv/bin/python

.PHONY: run demo test coverage lint bench
run: .venv/ready
	.venv/bin/podium run

demo: .venv/ready
	.venv/bin/podium demo

test: .venv/ready
	$(PY) -m pytest

coverage: .venv/ready
	$(PY) -m pytest --cov --cov-report=term-missing

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: .venv/ready
	$(PY) -m benchmarks

.venv/ready: pyproject.toml .ci/environment
	bash .ci/environment
