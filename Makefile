# Every target sets up what it needs: `make demo` or `make test` is all that a fresh clone takes.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
space  := $(subst ,, )
# The archives that tests with real images read; see nbs/34_archives.ipynb.
export ARQ_DATA ?= $(abspath ../shared/data)
.DEFAULT_GOAL := help
.PHONY: help install demo cifar10 cifar10-long zoo test test-slow package bench docs site exercises lab readme export clean-nbs hooks

help: ## show this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 20

# One environment for everything, with the notebook tools of the dev extra. Made anew when a requirement changes.
# pip would compile thousands of modules one after the other; compileall does it on all cores, and leaves tests out.
$(VENV)/.installed: settings.ini setup.py pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[dev]'
	$(BIN)/python -W ignore -m compileall -q -j 0 -x /tests/ $(VENV) > /dev/null 2>&1 || true  # some are for a newer Python
	touch $@

install: $(VENV)/.installed ## make .venv: an editable install with the notebook tools

demo: install ## train, search and certify on digits: a table and figures in runs/demo
	$(BIN)/arq-nb demo --out runs/demo

# Real photographs: sigma 0.25, warm start from a network trained without noise. The same command goes on after a stop.
cifar10: TRAIN := --epochs 3
cifar10: SEARCH := --policies 10 --finetune-images 6000
cifar10: CERTIFY := --finetune-images 12000 --skip 10
cifar10-long: TRAIN := --epochs 8
cifar10-long: SEARCH := --policies 24 --finetune-images 12000
cifar10-long: CERTIFY := --finetune-images 20000 --skip 8
cifar10: install ## ARQ on CIFAR-10 with ResNet-20 from the archives in ARQ_DATA, in 10 to 20 minutes: table and figures in runs/cifar10
cifar10-long: install ## the same with more training and a longer search, in an hour: runs/cifar10-long
cifar10 cifar10-long:
	$(BIN)/arq-nb train --out runs/$@ --data cifar10 --root $(ARQ_DATA)/cifar10-jpeg.tar.xz $(ARQ_DATA)/cifar10-original-subset.tar.xz \
		--model resnet20 --sigma 0.25 --holdout 200 --start $(ARQ_DATA)/resnet20-cifar10-clean.safetensors --lr 0.1 $(TRAIN)
	$(BIN)/arq-nb search --out runs/$@ --n 500 $(SEARCH)
	for network in float32 uniform4 arq; do $(BIN)/arq-nb certify --out runs/$@ --network $$network --epochs 1 $(CERTIFY) || exit; done
	$(BIN)/arq-nb report --out runs/$@

# timm is no dependency: it goes into a folder of its own inside .venv, beside the torch that is there.
$(VENV)/zoo/.installed: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --upgrade --target $(VENV)/zoo --no-deps 'timm>=1.0' huggingface_hub
	touch $@

zoo: $(VENV)/zoo/.installed ## 149 networks of torchvision and timm: right or refused by name (ZOO="swin* timm/*"); hours, table in runs/zoo.tsv
	PYTHONPATH=$(VENV)/zoo $(BIN)/python tools/zoo.py $(if $(ZOO),$(foreach name,$(ZOO),'$(name)'))

test: install ## the whole book by nbdev_test and tests/ by pytest; one notebook: .venv/bin/nbdev_test --path nbs/05_quantizers.ipynb
	$(BIN)/python tools/run_tests.py

FLAGS ?= slow
test-slow: install ## the notebooks that have cells flagged slow, with those cells (FLAGS="slow cuda" on a GPU)
	for n in $$(grep -lE '"#\| *($(subst $(space),|,$(FLAGS)))\b' nbs/*.ipynb nbs/*/*.ipynb); do \
		$(BIN)/nbdev_test --path $$n --flags "$(FLAGS)" --do_print || failed=1; done; test -z "$$failed"

package: install ## build sdist and wheel, install the wheel in an empty environment, try it there
	$(BIN)/python -m pytest tests/test_package.py -m 'slow or not slow' -s

bench: install ## what certifying, training and setting up cost, as ratios (OUT=file.json keeps them; PARTS=memory: half an hour)
	$(BIN)/python tools/bench.py $(if $(OUT),--out $(OUT)) $(PARTS)

docs: install ## the notebooks as a static site in _docs/ (without Quarto)
	$(BIN)/python tools/docs.py

site: install ## the site as it is published, in _docs/ (with Quarto 1.10, which has to be installed)
	$(BIN)/python tools/pages.py
	quarto render _proc --no-cache
	rm -rf _docs && mv _proc/_docs _docs

exercises: install ## the chapters without their answers, gaps to fill that check themselves, in _exercises/ (keeps what is there)
	$(BIN)/python tools/exercises.py

lab: install ## open the notebooks in Jupyter Lab
	$(BIN)/jupyter lab nbs $(if $(filter 0,$(shell id -u)),--allow-root)

readme: install ## README.md from nbs/index.ipynb
	$(BIN)/python tools/readme.py

export: install ## arq_nb/**/*.py from the notebooks, and what type checkers need beside them
	$(BIN)/nbdev_export
	$(BIN)/python tools/stubs.py

clean-nbs: install ## remove what should not be committed from the notebooks
	$(BIN)/nbdev_clean
	$(BIN)/python tools/smaller_pictures.py nbs/*.ipynb nbs/experiments/*.ipynb

hooks: install ## git hooks by pre-commit (lint, spell, clean, export), and a merge driver for notebooks
	-git config --unset core.hooksPath
	$(BIN)/pre-commit install
	git config merge.nbdev-merge.name "resolve conflicts with nbdev_fix"
	git config merge.nbdev-merge.driver "$(BIN)/nbdev_merge %O %A %B %P"
