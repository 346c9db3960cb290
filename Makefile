# One word does one thing; `make help` lists them. CI calls the same words.
.DEFAULT_GOAL := help
SHELL := /bin/sh
SEEDTEST := .venv/bin/seedtest
PYTEST := .venv/bin/python -m pytest
# One test more at once than there are processors, as half their time they wait for servers; four at most, as each
# brings its own database server. On two processors: 9 minutes instead of 10 to 11.
WORKERS := $(shell n=$$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN); [ $$n -gt 3 ] && echo 4 || echo $$((n + 1)))

.PHONY: help setup run test test-k8s check bench up down status deploy undeploy lock clean

help:  ## List the words
	@sed -n 's/^\([-a-z0-9]*\):.*  ## \(.*\)/make \1	\2/p' Makefile | expand -t 16

setup:  ## Install everything into .venv (the other words do this by themselves)
	@scripts/setup

run: setup  ## Set everything up, simulate a cohort, run the nightly pipeline and the weekly reports
	@$(SEEDTEST) up --detach
	@$(SEEDTEST) simulate --users 500 --items 150
	@$(SEEDTEST) run nightly
	@$(SEEDTEST) run generate-weekly-report
	@$(SEEDTEST) verify
	@$(SEEDTEST) summary

test: setup  ## Run the tests (HEAVY=1: the heavy ones too)
	@$(PYTEST) -n $(WORKERS) --durations=15 -m "$(if $(HEAVY),not cluster,not heavy and not cluster)"

test-k8s: setup  ## Run the tests that need a cluster, on the one that KUBECONFIG names
	@$(PYTEST) -m cluster -v --durations=0 tests/k8s_cluster

check: setup  ## Lint, format, types, Kubernetes manifests
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@$(PYTEST) -q -rs tests/k8s/test_manifests.py tests/k8s/test_job_template.py

bench: setup  ## Measure against rivals and limits (ARGS="irt --with-rivals": the engine beside others)
	@.venv/bin/python -m benchmarks $(ARGS)

up: setup  ## Start the embedded stack in the background
	@$(SEEDTEST) up --detach

down: setup  ## Stop the embedded stack; data stay
	@$(SEEDTEST) down

status: setup  ## Say what runs, where, and what the tables hold
	@$(SEEDTEST) status

deploy: setup  ## Deploy to ENV (DRY_RUN=1, SHA=, ONLY=, SKIP=, API_URL=)
	@.venv/bin/python -m deploy --env "$(ENV)" $(if $(DRY_RUN),--dry-run) $(if $(SHA),--sha "$(SHA)") \
		$(if $(ONLY),--only "$(ONLY)") $(if $(SKIP),--skip "$(SKIP)") $(if $(API_URL),--api-url "$(API_URL)")

undeploy: setup  ## Take the deployment to ENV away (DRY_RUN=1, YES=1, ONLY=, SKIP=, API_URL=)
	@.venv/bin/python -m deploy undeploy --env "$(ENV)" $(if $(DRY_RUN),--dry-run) $(if $(YES),--yes) \
		$(if $(ONLY),--only "$(ONLY)") $(if $(SKIP),--skip "$(SKIP)") $(if $(API_URL),--api-url "$(API_URL)")

lock: setup  ## Resolve requirements.lock anew from pyproject.toml
	@.venv/bin/uv pip compile -q --universal --upgrade --group dev --generate-hashes --no-emit-index-url \
		--no-annotate --no-header pyproject.toml -o requirements.lock

clean:  ## Stop the embedded stack and delete its data, the environment and all caches
	@if [ -x $(SEEDTEST) ]; then $(SEEDTEST) down --delete-data --yes; fi
	@rm -rf .venv .venv.lock .seedtest .pytest_cache .mypy_cache .ruff_cache .hypothesis
