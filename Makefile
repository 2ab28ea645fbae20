# cgo is needed everywhere: a binary built without it panics at the first use of SQLite.
export CGO_ENABLED = 1

GO             ?= go
GOLANGCI       := v2.15.0
TOOLS          ?= $(CURDIR)/bin
TEST_TIMEOUT   ?= 20m
CRASH_CYCLES   ?= 1000
FUZZTIME       ?= 2m

.DEFAULT_GOAL := help
.PHONY: help demo build test lint fmt bench generate pictures check proof-crash proof-fuzz clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## run the hub with a sandbox of fake platforms around it
	$(GO) run ./cmd/tandem demo

build: ## build bin/tandem
	$(GO) build -trimpath -o bin/tandem ./cmd/tandem

test: ## run all tests with the race detector
	$(GO) test -race -timeout $(TEST_TIMEOUT) ./...

lint: $(TOOLS)/golangci-lint-$(GOLANGCI) ## run the linters
	$< run ./...

fmt: $(TOOLS)/golangci-lint-$(GOLANGCI) ## format all Go files
	$< fmt ./...

bench: ## measure the packages, then the whole hub
	$(GO) test -run '^$$' -bench . -benchmem ./...
	$(GO) run ./cmd/tandem-bench

generate: ## write what is generated from other files
	$(GO) generate ./...

pictures: ## take the README's pictures of the console anew
	TANDEM_SCREENSHOTS=$(CURDIR)/adapters/console/pictures $(GO) test -count=1 -run 'LifeInTheBrowser|ShownInTheBrowser' ./cmd/tandem
	@cd adapters/console/pictures && for f in *.png; do grep -q "$$f" ../../../README.md || rm "$$f"; done

check: ## fail if formatting, go.mod or a generated file is stale
	@stale=$$(gofmt -l $$(git ls-files '*.go')); \
		if [ -n "$$stale" ]; then echo "not formatted, run make fmt:"; echo "$$stale"; exit 1; fi
	$(GO) mod verify
	$(GO) mod tidy -diff
	@state() { git status --porcelain; git diff; }; \
		before=$$(state); $(GO) generate ./... || exit 1; \
		if [ "$$before" != "$$(state)" ]; then \
			git status --short; echo "generated files were stale: commit what make generate wrote"; exit 1; fi

proof-crash: ## kill -9 the hub CRASH_CYCLES times under load and look for lost tasks
	TANDEM_CRASH_CYCLES=$(CRASH_CYCLES) $(GO) test -count=1 -timeout 2h -v -run Crash ./cmd/tandem

# Shortening each new input costs most of the time otherwise, and finds nothing.
proof-fuzz: ## run each fuzz target for FUZZTIME
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "$$(dirname "$$file")"; \
		done; \
	done

clean: ## remove what was built
	rm -rf bin

# The version is in the file's name, so that a new pin builds anew.
$(TOOLS)/golangci-lint-$(GOLANGCI):
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	mv $(TOOLS)/golangci-lint $@
