# Every habit of this project, one line each. `make` alone prints them.
#
# A prompt is a person's text. It reaches the program through the environment, and neither make nor a shell reads it:
# $(value) keeps make from expanding it, and no recipe names it.

override PROMPT := $(value PROMPT)
ifeq ($(strip $(value PROMPT)),)
override PROMPT := What is the square root of 16?
endif
FUZZTIME ?= 30s
SEED ?= 0
MINUTES ?= 10
JOBS ?= 2000
REAL ?= 100
ROLLING ?= 400
override INPUT := $(value INPUT)
override USER_ID := $(value USER_ID)

.DEFAULT_GOAL := help
layers := test-snapshot test-claude test-session test-api test-e2e
.PHONY: help run long build env test test-fleet test-containers test-compose $(layers) check bench soak chaos mutants rolling fuzz stop clean

help: ## this list
	@echo "Sandpiper runs Claude Code prompts as durable jobs in sandboxes."
	@echo
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  make \1	\2/p' Makefile | expand -t 22
	@echo
	@echo 'Try: make run PROMPT="Why is the sky blue?"     (ONCE=1 exits after the answer)'

run: export SANDPIPER_TRY := $(value PROMPT)
run: build ## everything on this machine, and a first PROMPT; ONCE=1 exits after its answer
	@bin/sandpiper install-claude >/dev/null
	@exec bin/sandpiper up --try $(if $(ONCE),--once)

build: ## the three commands, into bin/
	@[ -x bin/sandpiper ] || echo "building (the first time it takes a minute or two)"
	@go build -o bin/ ./cmd/...

env: ## a .env with fresh secrets for docker-compose.yml; one that is there stays
	@scripts/env.sh

test: ## every test, race detector on, none skipped; installs what it needs
	@scripts/test.sh

test-fleet: ## the end-to-end suite again, unchanged, each house on Postgres, Redis, 2 api, 3 worker and a local Daytona
	@scripts/test.sh -timeout 40m ./test/e2e -estate fleet

test-containers: ## the tests that need Postgres or Redis, with both in containers; brings an engine and stand-ins, as test-compose does
	@scripts/test-containers.sh

test-compose: ## docker-compose.yml, really started with three workers by docker-compose 1.29 and by the plugin, upgraded and broken; brings an engine and stand-ins for public images
	@scripts/test-compose.sh

test-snapshot: ## a sandbox from the snapshot, and what must be in it; against whatever is configured, like the next four
test-claude: ## the claude command through the guide's pipe: models and formats
test-session: ## both patterns of sessions, and one that was lost
test-api: ## sandbox, prompt and messages through the HTTP API
test-e2e: ## one prompt through everything: USER_ID=… INPUT=…

test-e2e: export INPUT := $(value INPUT)
test-e2e: export USER_ID := $(value USER_ID)
$(layers): build
	@[ -n "$$SANDPIPER_CLAUDE$$DAYTONA_API_KEY$$SANDPIPER_API" ] || bin/sandpiper install-claude >/dev/null
	@bin/sandpiper check $(@:test-%=%)

check: ## vet, gofumpt, staticcheck, and the tests that read the source
	@scripts/check.sh

bench: ## speed and memory, beside baselines of the same run; BENCH=… chooses, BENCHTIME=10x
	@scripts/bench.sh

long: ## the long forms of some tests (500 hostile prompts, 50 launches of one run, 200 random steps under clients that come and go, every way in which the model API fails, 200 jobs at once, 30 s without Redis, 60 s without Postgres under 100 prompts), 500 running prompts handed over, a stream that stalls, a batch of 100,000 lines, and plans at 1,000,000 jobs
	@TAGS=long scripts/test.sh -run 'Hostile|Outcomes|ManyJobs|RedisCostsDelay|RedisMayGo|LimitedAPI|ThatStalls|PostgresIsGone' ./test/e2e -args -prompts 500 -whole -jobs 200 -redis-jobs 50 -limited 30 -silence 30s -outage 60s -held 100
	@RACE= scripts/test.sh -v -timeout 40m -run TestRunningPromptsAreHandedOver ./test/e2e -args -running 500 -inn
	@RACE= scripts/test.sh -v -timeout 2h -run TestManyLines ./test/e2e -args -lines 100000
	@scripts/test.sh -run TestWhatWasToldIsThereThoughSessionsAreCut ./internal/store -args -cut-jobs 20
	@scripts/test.sh -run ManyLaunches ./internal/run -args -launches 50
	@scripts/test.sh -run TestEveryClientsRecordIsTheDatabases ./internal/httpapi -args -steps 200
	@scripts/test.sh -v -timeout 3h -run TestNoStatementGoesThroughATable ./internal/store -args -jobs 1000000 -events 10

soak: ## two processes under 50 no-op jobs a second for ten minutes, and one worker with 2,000 running prompts
	@RACE= scripts/test.sh -v -timeout 40m -run 'TestSoak|TestManyRunningPrompts' ./test/e2e -args -soak 10m -running 2000 -inn

chaos: ## break a fleet for MINUTES (10) under JOBS (2000), and REAL (100) with the real command, then count the damage; SEED=… plans again
	@rm -f bin/chaos.txt
	@scripts/test.sh -timeout 0 -run 'TestChaos' ./test/chaos -args -seed $(SEED) -minutes $(MINUTES) -jobs $(JOBS) -real $(REAL) -clocks -report $(CURDIR)/bin/chaos.txt; \
		status=$$?; cat bin/chaos.txt; exit $$status

mutants: ## take each protection out of the product, and see that a check of make chaos notices; and a fleet that is broken under the real command
	@scripts/test.sh -run '^(TestChaosWithTheRealCommand|TestEveryMutantIsCaught)$$' ./test/chaos

rolling: ## replace a fleet of the programs of FROM=<commit> by these, one by one, under ROLLING (400) jobs; SEED=… plans again
	@[ -n "$(FROM)" ] || { echo "which commit? make rolling FROM=HEAD~50"; exit 2; }
	@scripts/rolling.sh "$(FROM)" $(ROLLING) $(SEED)

fuzz: ## every fuzz target for FUZZTIME (30s) each
	@FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

stop: ## end what this data directory left running: runs, sandboxes, helpers
	@[ -x bin/sandpiper ] || go build -o bin/ ./cmd/...
	@bin/sandpiper stop

clean: ## remove what was built; your data in .sandpiper stays
	@rm -rf bin
