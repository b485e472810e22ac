# make            create .venv, and run the workflow on the demo clips
# make test       install the test packages, and run all tests that this machine can run
# make check      in a minute: the style checks, and the tests that start no other process
# make slurm      install packages for `snakemake --profile slurm`
# make tensorflow install packages for `snakemake embeddings` and `snakemake classifier`
# make lint       run the style checks of CI
# make pictures   draw docs/spectrograms.png, the README's picture, from the demo clips
# make bench      compare the speed with the original front end; CLIPS=105835 for the full size
PYTHON ?= python3
CORES ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count())")
CLIPS ?= 3000

.DEFAULT_GOAL := run
.PHONY: run setup slurm tensorflow test check lint bench pictures requirements clean
.DELETE_ON_ERROR:

bin := .venv/bin
parallel := --numprocesses=auto --dist=loadgroup

run: setup
	$(bin)/snakemake --cores $(CORES)
	@echo 'The demo has three bad clips on purpose, and three without a speaker in their names.'
	@echo 'Next, in this terminal: source .venv/bin/activate && snakemake --cores $(CORES) --config dataset=YOUR_FOLDER results=NEW_FOLDER'

setup: .venv/run

# Optional sets: slurm makes each start of Snakemake a quarter slower, and tensorflow takes 2 GB.
slurm: .venv/slurm
tensorflow: .venv/tensorflow

test: .venv/test
	$(bin)/python -m pytest $(parallel)

check: lint
	$(bin)/python -m pytest $(parallel) -r fE --no-processes -m 'not tensorflow'

lint: .venv/test
	$(bin)/snakemake --lint
	$(bin)/snakefmt --check Snakefile rules
	$(bin)/ruff check
	$(bin)/ruff format --check

bench: .venv/test
	PYTHONPATH=workflow_scripts:tests $(bin)/python benchmarks/bench.py --clips $(CLIPS)

pictures: setup
	$(bin)/snakemake --cores $(CORES) --config dataset=demo results=.venv/demo
	PYTHONPATH=workflow_scripts $(bin)/python docs/draw.py .venv/demo docs/spectrograms.png

.venv/bin/python:
	@$(PYTHON) requirements/check.py
	@$(PYTHON) -m venv .venv \
	  || { rm -rf .venv; echo 'No venv in this Python (on Debian: apt install python3-venv)'; exit 1; }

# A link in .venv, for `import wavspec` in any folder.
.PHONY: wavspec
wavspec: | .venv/bin/python
	@ln -sfn ../../../../workflow_scripts/$@ \
	  "$$($(bin)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/$@"

# Each set of packages leaves a file of its name in .venv; a second call installs nothing. The sets
# list all dependencies, so pip does not have to resolve them.
.venv/%: requirements/%.txt | wavspec
	@$(bin)/python requirements/check.py $*
	@echo 'Installing $< into .venv, which takes a minute or two ...'
	@$(bin)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --no-compile -r $<
	@# pip would compile on one core. Some packages contain files for other versions of Python.
	@$(bin)/python -W ignore -m compileall -qq -j 0 .venv/lib || true
	@touch $@

.venv/test: .venv/oracle

# After changing versions in requirements/*.in and envs/*.yaml.
requirements:
	for set in run test slurm tensorflow; do \
	  UV_CUSTOM_COMPILE_COMMAND="make requirements" uv pip compile --quiet --universal \
	    --python-version 3.11 --generate-hashes requirements/$$set.in -o requirements/$$set.txt || exit 1; done
	UV_CUSTOM_COMPILE_COMMAND="make requirements" uv pip compile --quiet --universal --no-deps \
	  --python-version 3.11 --generate-hashes requirements/oracle.in -o requirements/oracle.txt

clean:
	rm -rf .venv
