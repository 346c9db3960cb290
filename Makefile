# One word does one thing; `make help` lists them. CI calls the same words.
.DEFAULT_GOAL := help
SHELL := /bin/sh
SEEDTEST := .venv/bin/seedtest
PYTEST := .venv/bin/python -m pytest
# As many tests at once as there are processors, four at most: each brings its own database server.
WORKERS := $(shell n=$$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN); [ $$n -gt 4 ] && echo 4 || echo $$n)

.PHONY: help setup run test check bench up down status lock clean

help:  ## List the words
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/make \1	\2/p' Makefile | expand -t 16

setup:  ## Install everything into .venv (the other words do this by themselves)
	@scripts/setup

run: setup  ## Set everything up, simulate a cohort, run the nightly pipeline, say where to look
	@$(SEEDTEST) up --detach
	@$(SEEDTEST) simulate --users 500 --items 150
	@$(SEEDTEST) run nightly
	@$(SEEDTEST) verify
	@$(SEEDTEST) summary

test: setup  ## Run the tests (HEAVY=1: the heavy ones too)
	@$(PYTEST) -n $(WORKERS) --durations=15 $(if $(HEAVY),,-m "not heavy")

check: setup  ## Lint, format and type checks
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

bench: setup  ## Measure against rivals and limits
	@.venv/bin/python -m benchmarks

up: setup  ## Start the embedded stack in the background
	@$(SEEDTEST) up --detach

down: setup  ## Stop the embedded stack; data stay
	@$(SEEDTEST) down

status: setup  ## Say what runs, where, and what the tables hold
	@$(SEEDTEST) status

lock: setup  ## Resolve requirements.lock anew from pyproject.toml
	@.venv/bin/uv pip compile -q --universal --upgrade --group dev --generate-hashes --no-emit-index-url \
		--no-annotate --no-header pyproject.toml -o requirements.lock

clean:  ## Stop the embedded stack and delete its data, the environment and all caches
	@if [ -x $(SEEDTEST) ]; then $(SEEDTEST) down --delete-data --yes; fi
	@rm -rf .venv .venv.lock .seedtest .pytest_cache .mypy_cache .ruff_cache .hypothesis
