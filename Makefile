# Everything starts from here; `make help` lists the targets. All set-up happens in the private .venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
CXX ?= c++

# The first interpreter that runs and is supported; `make PYTHON=/path/to/python3.11 ...` chooses another.
IS_SUPPORTED := import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for name in python3 python3.11 python3.12 python3.10 python3.9; do \
	$$name -c '$(IS_SUPPORTED)' 2>/dev/null && echo $$name && break; done)

KERNEL_SOURCES := $(wildcard kernels/*/*.cc kernels/*/*.h cmake/*) CMakeLists.txt setup.py

.PHONY: help venv demo test test-long test-py39 fuzz lint format clean crash soak golden sanitize valgrind mutants bench bench-steps bench-ascend convergence test-akg test-ascend test-atlas test-interop test-wheel

help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

venv: $(VENV)/.kernels  ## private environment with pinned packages and compiled kernels

$(VENV)/.packages: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no supported Python found: install Python 3.9, 3.10, 3.11 or 3.12 (with venv), or pass PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c '$(IS_SUPPORTED)' || { echo "error: $$("$(PYTHON)" --version) is not supported: install Python 3.9, 3.10, 3.11 or 3.12, or pass PYTHON=/path/to/python" >&2; exit 1; }
	@command -v "$(CXX)" >/dev/null || { echo "error: no C++ compiler found ($(CXX)): install one (Debian: apt-get install g++), or pass CXX=/path/to/compiler" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV) || { echo "error: $(PYTHON) cannot create a virtual environment: install its venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt "setuptools>=77" wheel "pybind11>=2.12" cmake ninja
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[test]'
	@touch $@

$(VENV)/.kernels: $(VENV)/.packages $(KERNEL_SOURCES)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

demo: venv  ## text to TFRecords, a small BERT trained with THOR, its accuracy on held-out documents
	@test -f demo/data/manifest.json || $(BIN)/bert-thor prepare --source docstrings --output demo/data --vocab-size 8192 --max-seq-length 128 --seed 12345
	@rm -rf demo/run
	$(BIN)/bert-thor pretrain --recipe demo --data demo/data --run demo/run --optimizer thor --seed 0
	$(BIN)/bert-thor evaluate --run demo/run --data demo/data

# A process per core, each with one thread where a test does not ask for more: what takes time, compiling graphs, uses one core. A
# process keeps the graphs that it compiled and grows to some GiB: hence no more than PROCESSES. A test file stays in one process, because
# its tests share what they trained.
PROCESSES ?= 2
AT_ONCE := OMP_NUM_THREADS=1 THOR_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses $(PROCESSES) --max-worker-restart 2 \
	--dist loadfile --no-loadscope-reorder

# Where `make test-py39` has made its environment, a short form of it (a minute or two) belongs to the suite.
test: venv  ## the whole default suite, on two cores (PROCESSES=n: on n at most); on MindSpore 2.0 too, in short, once test-py39 has run
	$(AT_ONCE)
	@if [ -x .venv39/bin/python ]; then \
		echo "MindSpore 2.0, Python 3.9: operators, model, training"; \
		.venv39/bin/python -m pytest tests/ops tests/bert_thor/network/test_model.py tests/bert_thor/training/test_trainer.py; \
	else \
		echo "not tested on MindSpore 2.0 and Python 3.9: there is no .venv39; make test-py39 PYTHON39=/path/to/python3.9 makes it"; \
	fi

# The line of MindSpore that can still build TBE kernels for Ascend 910. It has an environment of its own.
PYTHON39 ?= python3.9
test-py39:  ## operators, model, THOR, training on MindSpore 2.0.0 and Python 3.9; PYTHON39=/path/to/python3.9
	@"$(PYTHON39)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 9))' || { echo "error: $(PYTHON39) is not Python 3.9: pass PYTHON39=/path/to/python3.9" >&2; exit 1; }
	$(MAKE) VENV=.venv39 PYTHON="$(PYTHON39)" venv
	.venv39/bin/python -m pytest tests/ops tests/bert_thor

test-akg: venv  ## AKG kernels lowered for Ascend 910, their code checked and run on the CPU (downloads AKG once, 170 MB)
	$(BIN)/python tests/akg/fetch.py build/akg
	$(BIN)/python -m pytest tests/akg -m "akg or not akg"

# The compiler's wheels exist for Python 3.11 on x86-64 alone. They have an environment of their own.
PYTHON311 ?= python3.11
ATLAS := .venv-atlas/bin/python

.venv-atlas/.installed: tests/kernels/atlas/install.py tests/kernels/atlas/requirements.txt
	@command -v "$(PYTHON311)" >/dev/null || { echo "error: there is no $(PYTHON311): pass PYTHON311=/path/to/python3.11" >&2; exit 1; }
	@command -v "$(CXX)" >/dev/null || { echo "error: no C++ compiler found ($(CXX)): install one (Debian: apt-get install g++), or pass CXX=/path/to/compiler" >&2; exit 1; }
	"$(PYTHON311)" tests/kernels/atlas/install.py .venv-atlas
	@touch $@

test-atlas: .venv-atlas/.installed  ## Triton kernels for Atlas A2/A3 compiled, executed and checked with no device (installs the compiler once, 1 GB)
	$(ATLAS) -m pytest --confcutdir=tests/kernels/atlas tests/kernels/atlas -m "atlas or not atlas"
	TRITON_INTERPRET=1 $(ATLAS) -W ignore::RuntimeWarning tests/kernels/atlas/prove.py --interpret
	$(ATLAS) tests/kernels/atlas/prove.py

.venv-interop/.installed: tests/interop/install.py tests/interop/requirements.txt $(VENV)/.packages
	$(BIN)/python tests/interop/install.py .venv-interop
	@touch $@

test-interop: venv .venv-interop/.installed  ## Hugging Face's transformers on what we export and save, ours on what it saves (installs it once, 1 GB)
	$(BIN)/python -m pytest tests/interop -m interop

test-wheel: venv  ## a wheel installed into a new environment where no compiler is, every command of it from another folder (installs MindSpore once more, 1 GB)
	$(BIN)/python tests/wheel/run.py build/wheel

test-ascend:  ## every kernel on an Ascend 910 against its reference, timed; without a device it says what is missing
	@"$(PYTHON)" tests/ascend/prerequisites.py
	@"$(PYTHON39)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 9))' || { echo "error: $(PYTHON39) is not Python 3.9: pass PYTHON39=/path/to/python3.9" >&2; exit 1; }
	$(MAKE) VENV=.venv39 PYTHON="$(PYTHON39)" venv
	.venv39/bin/python -m pytest tests/ascend -m ascend -p no:cacheprovider

test-long: venv  ## what takes minutes: every shape, long interpreter runs
	$(BIN)/python -m pytest -m long

$(VENV)/.fuzz: $(VENV)/.packages
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]' --no-build-isolation
	@touch $@

fuzz: $(VENV)/.fuzz  ## two minutes of mutated files against the readers of data folders and of run folders
	@mkdir -p build
	$(BIN)/python tests/fuzz/fuzz_tfrecord.py -max_total_time=$(or $(FUZZ_SECONDS),60) -max_len=4096 -artifact_prefix=build/
	$(BIN)/python tests/fuzz/fuzz_run_folder.py -max_total_time=$(or $(FUZZ_SECONDS),60) -max_len=4096 -artifact_prefix=build/

$(VENV)/.lint: $(VENV)/.packages
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lint]' --no-build-isolation
	@touch $@

# mypy finds bert_thor.kernels and bert_thor.ops through this tree of links: they live at the top level.
build/typing: $(VENV)/.lint
	@rm -rf $@ && mkdir -p $@/bert_thor
	@for entry in bert_thor/*; do ln -s "$(CURDIR)/$$entry" $@/bert_thor/; done
	@ln -s "$(CURDIR)/kernels" "$(CURDIR)/ops" $@/bert_thor/
	@ln -s "$(CURDIR)/bench" $@/

crash: venv  ## 200 kills at random moments of training and evaluation, compared bit for bit (KILLS=n: another number)
	@mkdir -p build
	cd build && OMP_NUM_THREADS=1 ../$(BIN)/python ../tests/reliability/crash.py --kills $(or $(KILLS),200)

soak: venv  ## an hour of training, kills and evaluations with memory and file handles watched (SOAK_SECONDS=n: another time)
	@mkdir -p build
	cd build && OMP_NUM_THREADS=1 ../$(BIN)/python ../tests/reliability/soak.py --seconds $(or $(SOAK_SECONDS),3600)

golden: venv  ## store the golden losses anew: make golden REASON="why the numbers move" (OPTIMIZER=name: of this one)
	@test -n "$(REASON)" || { echo 'error: golden losses promise that numbers do not move by accident; say why they move now: make golden REASON="..."' >&2; exit 1; }
	@mkdir -p build
	cd build && OMP_NUM_THREADS=1 ../$(BIN)/python ../tests/reliability/golden.py --reason "$(REASON)" $(if $(OPTIMIZER),--optimizer $(OPTIMIZER))

sanitize: venv  ## the kernel tests on kernels built with address, undefined-behaviour and thread sanitizers
	$(BIN)/python tests/sanitize.py

mutants: venv  ## planted mistakes in every kernel, and whether its tests notice them
	$(BIN)/python tests/mutants/run.py

build/peers/.installed: bench/peers.txt $(VENV)/.packages
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade --target build/peers -r $< && touch $@ || \
		echo "PyTorch could not be installed: the benchmark runs without this peer." >&2

bench: venv build/peers/.installed  ## every kernel beside its peers and the machine's measured limits; bench/results/kernels.json and .png
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[plot]' --no-build-isolation
	$(BIN)/python -m bench.kernels

bench-steps: venv build/peers/.installed  ## whole steps of training beside PyTorch's, in float32 and bfloat16; hours; bench/results/steps.json
	$(BIN)/python -m bench.steps encoder
	$(BIN)/python -m bench.steps thor
	$(BIN)/python -m bench.steps memory

bench-ascend: venv  ## the TIK kernels over BERT-Large's shapes in the simulator; bench/results/ascend.json and .png
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[plot]' --no-build-isolation
	$(BIN)/python -m bench.ascend

convergence: venv  ## THOR beside tuned baselines, resumable; hours (MINUTES=m: start no run after m minutes; CONTINUE=1: take the stored runs as done)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[plot]' --no-build-isolation
	@mkdir -p build
	$(BIN)/python -m bench.convergence --work build/convergence $(if $(MINUTES),--budget-minutes $(MINUTES)) $(if $(CONTINUE),--continue)

.PHONY: examples
examples: venv  ## THOR beside nn.Adam on three other networks, each with its best of five learning rates; minutes
	@set -e; for script in $(filter-out examples/comparison.py,$(wildcard examples/*.py)); do $(BIN)/python $$script; done

valgrind: venv  ## every kernel against its reference under valgrind
	$(BIN)/python tests/reliability/valgrind.py

lint: venv build/typing  ## ruff, mypy, clang-format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files '*.cc' '*.h')
	cd build/typing && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml -p bert_thor -p bench

format: $(VENV)/.lint  ## rewrite Python and C++ in the house style
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .
	$(BIN)/clang-format -i $$(git ls-files '*.cc' '*.h')

clean:  ## remove what was built (not .venv, demo or runs)
	rm -rf build kernels/*.so
