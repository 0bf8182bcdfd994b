# Every habit of this project, one line each. `make` alone prints them.
#
# A prompt is a person's text. It reaches the program through the environment, and neither make nor a shell reads it:
# $(value) keeps make from expanding it, and no recipe names it.

override PROMPT := $(value PROMPT)
ifeq ($(strip $(value PROMPT)),)
override PROMPT := What is the square root of 16?
endif
FUZZTIME ?= 30s

.DEFAULT_GOAL := help
.PHONY: help run build test check fuzz stop clean

help: ## this list
	@echo "Sandpiper runs Claude Code prompts as durable jobs in sandboxes."
	@echo
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1	\2/p' Makefile | expand -t 16
	@echo
	@echo 'Try: make run PROMPT="Why is the sky blue?"     (ONCE=1 exits after the answer)'

run: export SANDPIPER_TRY := $(value PROMPT)
run: build ## everything on this machine, and a first PROMPT; ONCE=1 exits after its answer
	@bin/sandpiper install-claude >/dev/null
	@exec bin/sandpiper up --try $(if $(ONCE),--once)

build: ## the three commands, into bin/
	@[ -x bin/sandpiper ] || echo "building (the first time it takes a minute or two)"
	@go build -o bin/ ./cmd/...

test: ## every test, race detector on, none skipped; installs what it needs
	@scripts/test.sh

check: ## vet, gofumpt and staticcheck
	@scripts/check.sh

fuzz: ## every fuzz target for FUZZTIME (30s) each
	@FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

stop: ## end what this data directory left running: runs, sandboxes, helpers
	@[ -x bin/sandpiper ] || go build -o bin/ ./cmd/...
	@bin/sandpiper stop

clean: ## remove what was built; your data in .sandpiper stays
	@rm -rf bin
