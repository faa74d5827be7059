# Everything a person does with this repository; `make` alone lists it.
#
# PYTHON  the interpreter that makes the environments (3.11, 3.12 or 3.13)
# VENV    the environment that is made, or used when it is there

PYTHON ?= python3
VENV ?= .venv
JAX_VENV ?= $(VENV)-jax
SERVING_VENV ?= $(VENV)-serving
PARITY_VENV ?= $(VENV)-parity
# The TensorFlow release of the newest TF Serving.
SERVING_TENSORFLOW ?= 2.20.0
# The server's messages; its own requirements name TensorFlow a second time.
SERVING_API = --no-deps "tensorflow-serving-api>=2.20"
DIST ?= dist
# Two test files at a time; WORKERS=0 runs them one after the other.
WORKERS ?= 2
PYTEST_ARGS ?=
# What JAX is tested with.
JAX_TESTS ?= tests/layers tests/models tests/generation
# For `make soak` and `make fuzz`.
MINUTES ?= 30
COUNT ?= 10000
SERVING_TESTS = tests/serving tests/export/test_cpp.py

RUN = $(VENV)/bin/python
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## show this list
	@echo "keras_bigmodel: what make can do"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' \
	  $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  make demo TEXT=path   the demo on your own UTF-8 text"
	@echo "  make test PYTHON=python3.12   with another interpreter"

# --- environments ----------------------------------------------------------

define check_python
command -v $(PYTHON) >/dev/null || { echo "There is no '$(PYTHON)' here: \
install Python 3.11, 3.12 or 3.13, or name one: make PYTHON=python3.12" \
>&2; exit 1; }; \
$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
|| { echo "keras_bigmodel needs Python 3.11, 3.12 or 3.13, and '$(PYTHON)' \
is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12" >&2; exit 1; }
endef

# An environment is complete once pip is in it.
%/bin/pip:
	@$(check_python)
	@echo "Making the environment $*"
	@$(PYTHON) -m venv $* || { echo "'$(PYTHON) -m venv' failed: on Debian \
	and Ubuntu it comes with 'apt install python3-venv'" >&2; exit 1; }

# A stamp for each group of extras: installed anew only when setup.cfg changes.
$(VENV)/.installed-%: setup.cfg pyproject.toml | $(VENV)/bin/pip
	@echo "Installing keras_bigmodel[$*] into $(VENV); TensorFlow is about"
	@echo "600 MB, so the first time takes a few minutes."
	$(RUN) -m pip install -e ".[$*]"
	$(if $(filter test notebooks,$*),$(RUN) -m pip install $(SERVING_API))
	@touch $@

$(JAX_VENV)/.installed: setup.cfg pyproject.toml | $(JAX_VENV)/bin/pip
	@echo "Installing Keras on JAX, without TensorFlow, into $(JAX_VENV)"
	$(JAX_VENV)/bin/python -m pip install "keras>=3.15.1" jax numpy pytest \
	  pytest-xdist tokenizers
	$(JAX_VENV)/bin/python -m pip install --no-deps -e .
	@touch $@

$(SERVING_VENV)/.installed: setup.cfg pyproject.toml | $(SERVING_VENV)/bin/pip
	@echo "Installing TensorFlow $(SERVING_TENSORFLOW) into $(SERVING_VENV)"
	$(SERVING_VENV)/bin/python -m pip install \
	  "tensorflow==$(SERVING_TENSORFLOW)" -e ".[test]"
	@touch $@

$(PARITY_VENV)/.installed: setup.cfg pyproject.toml | $(PARITY_VENV)/bin/pip
	@echo "Installing PyTorch and transformers into $(PARITY_VENV)"
	$(PARITY_VENV)/bin/python -m pip install -e ".[test,parity]"
	@touch $@

# --- what one does ---------------------------------------------------------

.PHONY: demo
demo: $(VENV)/.installed-plot ## train, sample, export and serve a language model
	@$(RUN) -m keras_bigmodel demo $(if $(TEXT),--text "$(TEXT)")

.PHONY: test
test: $(VENV)/.installed-test ## run the tests
	$(RUN) -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)
	@echo
	@echo "All is well. Next: 'make demo' trains and serves a language model;"
	@echo "notebooks/01_text_generation.ipynb tells the same story cell by cell."

.PHONY: lint
lint: $(VENV)/.installed-lint ## check style and formatting
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

.PHONY: notebooks
notebooks: $(VENV)/.installed-notebooks ## run the notebooks and save what they show
	$(RUN) notebooks/execute.py

.PHONY: jax-test
jax-test: $(JAX_VENV)/.installed ## test layers, models, generation on JAX alone
	KERAS_BACKEND=jax $(JAX_VENV)/bin/python -m pytest \
	  -n $(WORKERS) --dist loadfile $(JAX_TESTS) $(PYTEST_ARGS)

.PHONY: serving-check
serving-check: $(VENV)/.installed-test $(SERVING_VENV)/.installed ## run exports in the C++ loader of two TensorFlows
	REQUIRE_CXX=1 $(RUN) -m pytest $(SERVING_TESTS) $(PYTEST_ARGS)
	REQUIRE_CXX=1 $(SERVING_VENV)/bin/python -m pytest $(SERVING_TESTS) \
	  $(PYTEST_ARGS)

.PHONY: soak
soak: $(VENV)/.installed-test ## 8 clients on an export for MINUTES=30, memory watched
	$(RUN) -m tests.serving.soak --minutes $(MINUTES)

.PHONY: fuzz
fuzz: $(VENV)/.installed-test ## COUNT=10000 malformed requests to exports
	$(RUN) -m tests.serving.fuzz --count $(COUNT)

.PHONY: kills
kills: $(VENV)/.installed-test ## kill 200 exports while a reader looks
	$(RUN) -m tests.serving.kills

.PHONY: parity
parity: $(PARITY_VENV)/.installed ## compare with transformers on PyTorch
	$(PARITY_VENV)/bin/python -m pytest tests/huggingface -m parity $(PYTEST_ARGS)

.PHONY: exact
exact: $(VENV)/.installed-test ## compare the in-graph tokenizers at length
	$(RUN) -m benchmarks.exact_text

.PHONY: bench
bench: $(VENV)/.installed-test ## measure speed and memory
	$(RUN) -m benchmarks

.PHONY: wheel
wheel: | $(VENV)/bin/pip ## build the wheel into dist/
	$(RUN) -m pip wheel --no-deps --wheel-dir $(DIST) .

.PHONY: clean
clean: ## remove what builds and tests leave (environments stay)
	rm -rf build dist *.egg-info htmlcov .coverage .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.venv*' -prune \
	  -exec rm -rf {} +
