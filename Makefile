# `make demo`: the main job on embedded data. `make test`: every test but long repetitions, which `make nightly` adds.
# Each sets up a virtual environment first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test quick nightly lint bench docs

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m intrinsic.projections.kernels
	touch $@

demo: setup
	$(BIN)/python run.py -m study=demo rank=1,2,4,8,16 seed=0,1,2
	$(BIN)/python run.py -m study=demo method=subspace dim=30,100,300,1000,3000 seed=0,1,2
	$(BIN)/python run.py -m study=demo method=full,head seed=0,1,2
	$(BIN)/python -m analysis.rank_curve outputs/demo
	$(BIN)/python -m analysis.dim_curve outputs/demo
	$(BIN)/python -m analysis.compare outputs/demo
	$(BIN)/python -m analysis.report outputs/demo

# a process for each core, with one thread: two that both take all cores wait for one another; what is compiled to
# bytecode is kept, for the processes that tests start
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist worksteal

test: setup
	$(PYTEST) -m 'not nightly'

quick: setup
	$(PYTEST) -m 'not slow and not nightly'

nightly: setup
	$(PYTEST)

# what mypy infers of mixed types can follow the order of sets: one seed, the same answer each time
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONHASHSEED=0 $(BIN)/mypy

bench: setup
	$(BIN)/python -m benchmarks

docs: setup
	$(BIN)/python -m analysis.results_page
	$(BIN)/mkdocs build --strict
