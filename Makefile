# Every target sets up what it needs: `make demo` or `make test` is all that a fresh clone takes.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# The archives that tests with real images read; see nbs/00_data.ipynb.
export ARQ_DATA ?= $(abspath ../shared/data)
.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow package bench docs lab readme export clean-nbs hooks

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

# One environment for everything, with the notebook tools of the dev extra. Made anew when a requirement changes.
$(VENV)/.installed: settings.ini setup.py pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

install: $(VENV)/.installed ## make .venv: an editable install with the notebook tools

demo: install ## train, search and certify on digits: a table and figures in runs/demo
	$(BIN)/arq demo --out runs/demo

test: install ## run every notebook, and compare library, README and notebooks with what nbdev writes
	$(BIN)/python tools/run_tests.py

test-slow: install ## run the notebooks that have cells flagged slow, with those cells (FLAGS="slow cuda" on a GPU)
	$(BIN)/python tools/run_tests.py --flags "$(or $(FLAGS),slow)"

package: install ## build sdist and wheel, install the wheel in an empty environment, try it there
	$(BIN)/python tools/check_package.py

bench: install ## samples a second of smoothing, beside the field's sampling loop
	$(BIN)/python tools/bench.py

docs: install ## the notebooks as a static site in _docs/ (without Quarto)
	$(BIN)/python tools/docs.py

lab: install ## open the notebooks in Jupyter Lab
	$(BIN)/jupyter lab nbs

readme: install ## README.md from nbs/index.ipynb
	$(BIN)/python tools/readme.py

export: install ## arq_nb/*.py from the notebooks
	$(BIN)/nbdev_export

clean-nbs: install ## remove what should not be committed from the notebooks
	$(BIN)/nbdev_clean

hooks: install ## git hooks that clean and export notebooks, and a merge driver for them
	git config core.hooksPath .githooks
	git config merge.nbdev-merge.name "resolve conflicts with nbdev_fix"
	git config merge.nbdev-merge.driver "$(BIN)/nbdev_merge %O %A %B %P"
