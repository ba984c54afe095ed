# gozen: needs Go and make. "make help" lists the targets.

export CGO_ENABLED := 0
GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0)
LDFLAGS     := -X main.version=$(VERSION)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
XENSTORE    := ls read write rm watch exists list chmod
FUZZTIME    ?= 10s
TESTFLAGS   ?=

# Packages whose tests are worth the race detector (it needs cgo only on some hosts; the Go tool says so).
RACE := ./hypervisor/control/... ./hypervisor/evtchn/... ./hypervisor/gnttab/... ./hypervisor/domain/... ./hypervisor/backend/... \
	./hypervisor/xenstore/... ./hypervisor/clock/... ./hypervisor/ring/... ./perfctl/... ./xl/...

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/xl, bin/hypervisor, bin/perfctl and the xenstore-* links
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./xl ./hypervisor ./perfctl
	@for c in $(XENSTORE); do ln -sf xl bin/xenstore-$$c; done

.PHONY: demo
demo: build ## boot a stock Debian kernel, list it, shut it down, show what it cost
	@$(GO) run ./ci/demo

.PHONY: kernels
kernels: ## fetch the guest kernels and busybox that tests and benchmarks use, as Debian packages
	@$(GO) run ./ci/kernels/fetch

.PHONY: test
test: build ## run all tests (fetches the guest kernels first, where packages can be had)
	@$(GO) run ./ci/kernels/fetch -try
	GOZEN_KERNELS="$${GOZEN_KERNELS:-$(CURDIR)/.cache/guests}" $(GO) test -timeout 20m $(TESTFLAGS) ./...
	@$(GO) test -count=1 ./ci/layers

.PHONY: check
check: fmt vet staticcheck layers generate-check test race ## everything that has to be right before a change goes in

.PHONY: fmt
fmt: ## check the formatting
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not formatted (gofmt -w):"; echo "$$out"; exit 1; fi

.PHONY: vet
vet: ## go vet, for amd64 and arm64 hosts
	$(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./...

.PHONY: staticcheck
staticcheck: ## staticcheck at its pinned version
	$(GO) run $(STATICCHECK) -checks inherit,-SA4016 ./...

.PHONY: layers
layers: ## the import table
	$(GO) test -count=1 ./ci/layers

.PHONY: generate-check
generate-check: ## generated files and printed tables are current
	$(GO) generate ./...
	$(GO) test -count=1 -run Docs ./hypervisor/hypercall
	@git diff --exit-code -- '*_gen.go' docs || { echo "generated files have changed: commit them"; exit 1; }

.PHONY: race
race: ## the concurrent packages under the race detector
	@if CGO_ENABLED=1 $(GO) test -race -count=1 -run '^$$' ./hypervisor/ring >/dev/null 2>&1; then \
		CGO_ENABLED=1 $(GO) test -race -short $(RACE); \
	else echo "race: skipped: the race detector needs a C compiler (gcc) on this host"; fi

.PHONY: bench-boot
bench-boot: build ## CPU seconds to a Debian guest's init, beside QEMU TCG
	@$(GO) run ./benches/boot/bench-boot

.PHONY: bench-cpu
bench-cpu: ## speed of the built-in CPU, beside QEMU TCG
	@$(GO) run ./benches/cpu/bench-cpu

.PHONY: fuzz-cpu
fuzz-cpu: ## compare the built-in CPU with this machine's processor, instruction by instruction
	@$(GO) run ./benches/fuzzcpu

.PHONY: fuzz-guest
fuzz-guest: ## run random guests for five minutes (GOZEN_FUZZ_GUEST=1h for longer)
	GOZEN_FUZZ_GUEST="$${GOZEN_FUZZ_GUEST:-5m}" $(GO) test -count=1 -timeout 0 -v -run 'TestRandom$$' ./ci/abi

.PHONY: fuzz
fuzz: ## fuzz every parser of untrusted bytes, FUZZTIME each (10s)
	@$(GO) run ./ci/fuzz -time $(FUZZTIME)

.PHONY: clean
clean: ## remove what was built (the package cache .cache stays)
	rm -rf bin
