# Every target makes the environment first, so that each works on a fresh clone.
PY := .venv/bin/python
# Most of the long tests wait for real processes: four at a time keep two cores busy. A file's tests stay together.
PYTEST := $(PY) -m pytest -n 4 --dist loadfile --no-loadscope-reorder

# of each target of `make fuzz`
FUZZ_SECONDS ?= 30

.PHONY: run demo test faults soak coverage lint bench fuzz docs shots
run: .venv/ready
	.venv/bin/podium run

demo: .venv/ready
	.venv/bin/podium demo

test: .venv/ready
	$(PYTEST)

# faults made for real; a part of `make test`. PODIUM_SEED, which each run prints, repeats it
faults: .venv/ready
	$(PYTEST) -m faults

# the same much longer: 200 kills, 20 restarts of a relay, 10,000 answers in a minute (about three quarters of an hour)
soak: .venv/ready
	PODIUM_SOAK=1 $(PYTEST) -m faults

coverage: .venv/ready
	$(PYTEST) --cov --cov-report=term-missing

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	bash .ci/lint-page

bench: .venv/ready
	$(PY) -m benchmarks

# everything that reads bytes of strangers, one target after the other; finds are written to build/fuzz
fuzz: .venv/ready
	$(PY) -m pip install --quiet --group fuzz
	$(PY) -m fuzz --seconds $(FUZZ_SECONDS)

# the documentation as a site in build/docs; a link that leads nowhere is an error
docs: .venv/ready
	$(PY) -m pip install --quiet --group docs
	$(PY) docs/generate.py
	$(PY) -m mkdocs build --strict --quiet

# the pictures of docs/screenshots.md, of the page as it is: look at them
shots: .venv/ready
	PYTHONPATH=. $(PY) docs/shots.py

.venv/ready: pyproject.toml .ci/environment
	bash .ci/environment
