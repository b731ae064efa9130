# The commands of this project; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
DEMO_ROLES := workflow data render train
TEST_ROLES := $(DEMO_ROLES) serve dev docs
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Packages are installed uncompiled; what is used is compiled once, on its first use.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup setup-test demo test check docs test-docs bench bench-llm bench-dedup audit lock containers containers-cpu clean test-kill test-train \
  test-render test-vllm cluster-up cluster-down test-cluster test-cluster-smoke

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: ## make .venv, find a Chromium, fetch the libraries that pages load (MIRROR=no: without these)
	@envs/install.sh $(DEMO_ROLES) && envs/chromium.sh && envs/mirror.sh

setup-test: ## the same with what the tests need
	@envs/install.sh $(TEST_ROLES) && envs/chromium.sh && envs/mirror.sh && envs/libraries.sh

demo: setup ## the whole line on this machine, offline, in minutes; ends with the report's place
	@artifactscoder demo $(if $(filter no,$(MIRROR)),-- --config 'render={mirror: false}')

test: setup-test ## the tests
	@python -m pytest

test-kill: setup-test ## kill -9 the demo five times and a step 30 times; 20,000 requests to a bad server (30 minutes)
	@python -m pytest -n 0 -m slow tests/test_kill.py tests/test_faulty.py tests/test_plan.py

test-train: setup-test ## GRPO killed in mid-step, two processes of CPT (6 minutes)
	@python -m pytest -n 0 -m slow $(wildcard tests/test_train*.py)

test-render: setup-test ## hostile pages, kills, 512 slow pages, all attacks on the reward (20 minutes)
	@python -m pytest -n 0 -m slow $(wildcard tests/test_render*.py tests/test_reward*.py)

test-vllm: ## jobs that start vLLM itself, on CPUs (6 minutes, installing 6 more; 4 GB in .venv-vllm)
	@tests/vllm_venv.sh .venv-vllm
	@PYTHONPATH=workflow:tests .venv-vllm/bin/python -m pytest -o addopts= -q -m vllm tests/test_vllm.py

cluster-up: ## install and start a real Slurm and Apptainer for tests on this machine (root, Debian)
	@tests/cluster/install.sh && tests/cluster/up.sh

cluster-down: ## stop it
	@tests/cluster/down.sh

test-cluster: setup-test cluster-up containers-cpu ## the tests that need a Slurm (about an hour)
	@python -m pytest -n 0 -m cluster

test-cluster-smoke: setup-test ## of those, the demo's whole line once; skipped with a line where Slurm cannot be installed
	@tests/cluster/install.sh || { [ $$? = 3 ] && exit 0; exit 2; }; \
	  tests/cluster/up.sh && artifactscoder images build cpu > /dev/null && \
	  python -m pytest -n 0 -m smoke; code=$$?; tests/cluster/down.sh; exit $$code

check: setup-test ## formatting, lint, types, and the links of the docs
	ruff format --check workflow tests bench
	ruff check workflow tests bench
	mypy
	snakefmt --check workflow/Snakefile rules
	snakemake --lint
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet --strict

docs: setup-test ## the documentation as a site, every link checked: site/index.html
	@NO_MKDOCS_2_WARNING=1 mkdocs build --quiet --strict && echo site/index.html

test-docs: setup-test ## docs/howto.md, run as it is written (a minute)
	@python -m pytest -n 0 -m slow tests/test_howto.py

bench: setup-test ## every benchmark, quick
	@for file in bench/*.py; do python $$file --quick || exit; done

bench-llm: setup-test ## the generation engine against datatrove's inference runner and curator (installs both)
	@test -x .venv-peers/bin/python || { python -m venv .venv-peers && .venv-peers/bin/pip install -q -r bench/peers.txt; }
	@python bench/llm.py --peers .venv-peers/bin/python

bench-dedup: setup-test ## near-duplicates against datasketch, rensa, datatrove and text-dedup (installs these)
	@test -x .venv-dedup/bin/python || { python -m venv .venv-dedup && .venv-dedup/bin/pip install -q -r bench/peers-dedup.txt \
	  && .venv-dedup/bin/pip install -q --no-deps text-dedup==0.4.0; }
	@PYTHONPATH= python bench/dedup.py --peers .venv-dedup/bin/python

# What is drawn and reported on: RUN="all --profile slurm" for a run of one's own.
RUN ?= demo --profile profiles/demo
audit: setup ## pictures of the workflow, Snakemake's report, an RO-Crate, what the last two runs differ in: results/audit/
	@mkdir -p results/audit
	@snakemake $(RUN) --rulegraph dot > results/audit/rulegraph.dot
	@snakemake $(RUN) --filegraph > results/audit/filegraph.dot
	@artifactscoder audit pictures --rulegraph results/audit/rulegraph.dot --filegraph results/audit/filegraph.dot \
	  --output results/audit
	@cp $(foreach name,rulegraph cpt sft rl train eval,results/audit/$(name).svg) docs/pictures/
	@snakemake $(RUN) --quiet all --report results/audit/snakemake.html && echo results/audit/snakemake.html
	@artifactscoder audit crate
	@[ $$(ls results/audit/[0-9]*.json | wc -l) -lt 2 ] || artifactscoder audit diff

lock: ## resolve envs/*.in again (needs uv)
	@envs/lock.sh

containers: setup ## build the Apptainer images that are missing
	@artifactscoder images build data render train || { echo "without a registry or a GPU:" \
	  "make containers-cpu, and name its file in config.yaml (images)" >&2; exit 2; }

containers-cpu: setup ## build the image of all roles for machines without GPU or registry
	@artifactscoder images build cpu

clean: ## remove what runs made, but not the journal of answers
	rm -rf results logs benchmarks .snakemake
