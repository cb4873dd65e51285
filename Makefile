# Slipway. `make demo` shows what it does, `make test` proves it.

GO ?= go
BENCH ?= .
FUZZTIME ?= 2s
BOTOCORE = .cache/venv/lib/python3.*/site-packages/botocore/data/iot/2015-05-28/service-2.json.gz

# What is built and what is tested are compiled alike, so that `make test` begins
# with what `make demo` has compiled: without C, but for the race detector, and
# without what debuggers read, which is a tenth of the work. Stack traces and
# profiles lack nothing; a debugger builds a program of its own.
export CGO_ENABLED = 0
export GOFLAGS := $(shell $(GO) env GOFLAGS 2>/dev/null) -gcflags=all=-dwarf=false

# A compiler is gone before its garbage matters, where memory is not scarce: the
# largest leaves 2 GB. Each core may have one at work, and all of them half of what
# is free.
compile = $(shell awk -v cores="$$(nproc 2>/dev/null)" '/^MemAvailable:/ && cores { share = $$2 / 2 / cores; \
	if (share > 1e6) print "GOGC=off GOMEMLIMIT=" int((share < 2e6 ? share : 2e6) / 1000) "MiB" }' /proc/meminfo 2>/dev/null) $(GO) build

.DEFAULT_GOAL := build
.PHONY: demo build check test test-long bench fuzz deps clean go

demo: go bin/slipway
	bin/slipway demo

build: go bin/slipway bin/slipway-agent

# Go knows best what has to be built again. What is given to others is built
# with -trimpath, which would compile everything a second time here. The first
# build begins with the SQL database, which Go would come to last: it takes so
# long that one core would wait for the other.
.PHONY: bin/slipway bin/slipway-agent
bin/slipway:
	@[ -e $@ ] || echo "The first build may take a minute: it compiles a whole SQL database."
	@[ -e $@ ] || $(compile) modernc.org/sqlite/lib ./server
	$(compile) -ldflags=-w -o $@ ./cmd/slipway
bin/slipway-agent:
	$(compile) -ldflags='-s -w' -o $@ ./cmd/slipway-agent

# Everything that needs no run of the program.
check: go deps
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
		[ -z "$$unformatted" ] || { echo "not formatted (gofmt -w):" $$unformatted; exit 1; }
	$(compile) ./...
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test ./internal/importtest
	@$(GO) run ./control/internal/model/generate $(BOTOCORE) | cmp - control/internal/model/table.go \
		|| { echo "control/internal/model/table.go is not what its generator prints"; exit 1; }
	$(GO) mod verify
	$(GO) mod tidy -diff

# The packages that drive the embedded SQLite run without the race detector
# here, and with it in test-long.
test: go deps
	GO=$(GO) test/suite
	test/fuzz $(FUZZTIME)

test-long: go deps
	test/s3/fetch
	SLIPWAY_LONG=1 CGO_ENABLED=1 $(GO) test -race -timeout 60m ./...
	test/fuzz 2m

bench: build
	$(GO) test -run='^$$' -bench='$(BENCH)' -benchmem ./...
	bin/slipway bench

fuzz: go
	test/fuzz $(FUZZTIME)

deps:
	@test/deps

clean:
	rm -rf bin dist .cache
	$(GO) clean -testcache

# Without Go nothing can be said but this.
go:
	@command -v $(GO) >/dev/null || { echo "Slipway needs Go 1.26 or newer: https://go.dev/dl/"; exit 1; }
