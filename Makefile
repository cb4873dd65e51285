# Slipway. `make demo` shows what it does, `make test` proves it.

GO ?= go
BENCH ?= .
FUZZTIME ?= 3s
BOTOCORE = .cache/venv/lib/python3.*/site-packages/botocore/data/iot/2015-05-28/service-2.json.gz

.DEFAULT_GOAL := build
.PHONY: demo build check test test-long bench fuzz deps clean go

demo: go bin/slipway
	bin/slipway demo

build: go bin/slipway bin/slipway-agent

# Go knows best what has to be built again. Not with -trimpath, which is for
# what is given to others: it would compile everything a second time, beside what
# the tests compile.
.PHONY: bin/slipway bin/slipway-agent
bin/slipway:
	@[ -e $@ ] || echo "The first build may take a minute: it compiles a whole SQL database."
	CGO_ENABLED=0 $(GO) build -o $@ ./cmd/slipway
bin/slipway-agent:
	CGO_ENABLED=0 $(GO) build -ldflags='-s -w' -o $@ ./cmd/slipway-agent

# Everything that needs no run of the program.
check: go deps
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
		[ -z "$$unformatted" ] || { echo "not formatted (gofmt -w):" $$unformatted; exit 1; }
	CGO_ENABLED=0 $(GO) build ./...
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
