# gozen: needs Go and make. "make help" lists the targets.

export CGO_ENABLED := 0
GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0)
LDFLAGS     := -X main.version=$(VERSION)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
XENSTORE    := ls read write rm watch exists list chmod
FUZZTIME    ?= 10s
TESTFLAGS   ?=

# Modules of a guest kernel that tests load.
GUEST_MODULES := button,evdev,xen-blkfront,xen-netfront,ata_piix,sr_mod,sd_mod

# Packages whose tests are worth the race detector (it needs cgo only on some hosts; the Go tool says so).
RACE := ./hypervisor/control/... ./hypervisor/evtchn/... ./hypervisor/gnttab/... ./hypervisor/domain/... ./hypervisor/backend/... \
	./hypervisor/xenstore/... ./hypervisor/clock/... ./hypervisor/ring/... ./hypervisor/link/... ./hypervisor/disk/... ./perfctl/... ./xl/... \
	./trace/...

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/xl, bin/hypervisor, bin/usernet, bin/perfctl and the xenstore-* links
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./xl ./hypervisor ./hypervisor/usernet ./perfctl
	@for c in $(XENSTORE); do ln -sf xl bin/xenstore-$$c; done

.PHONY: demo
demo: build ## boot a stock Debian kernel, list it, shut it down, show what it cost
	@$(GO) run ./ci/demo

.PHONY: kernels
kernels: ## fetch the guest kernels and busybox that tests and benchmarks use, as Debian packages
	@$(GO) run ./ci/kernels/fetch

.PHONY: test
test: build ## run all tests (gets guest kernels and emulated hosts first, where packages can be had)
	@$(GO) run ./ci/kernels/fetch -try
	@$(GO) run ./ci/kernels/fetch -try -modules $(GUEST_MODULES) 6.1-cloud
	@$(GO) run ./ci/testbed/run prepare -try svm vhe
	@$(GO) run ./ci/kernels/fetch -try arm64-6.1-cloud arm64-6.12-cloud
	@$(GO) run ./ci/kernels/fetch -try i386-6.1-pae i386-6.1 busybox-i386 grub-pvh grub-pv
	GOZEN_KERNELS="$${GOZEN_KERNELS:-$(CURDIR)/.cache/guests}" $(GO) test -timeout 50m $(TESTFLAGS) ./...
	@$(GO) test -count=1 ./ci/layers

.PHONY: guest-disk
guest-disk: ## build a root disk with Debian and systemd (root; mmdebstrap), for guests of one's own and test-guest-disk
	@$(GO) run ./ci/guestdisk/make

.PHONY: test-guest-disk
test-guest-disk: guest-disk ## boot that disk as PVH, PV and HVM guest, and on an emulated SVM host: log in, write, install, reboot, shut down
	@$(GO) run ./ci/testbed/run prepare -try -host 6.1-cloud svm
	GOZEN_REQUIRE_GUEST_DISK=1 $(GO) test -count=1 -timeout 50m -p 1 -v $(TESTFLAGS) -run '^TestGuestDisk$$' ./ci/e2e ./ci/testbed

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

TESTBED = GOZEN_REQUIRE_TESTBEDS=1 $(GO) test -count=1 -timeout 2h -v $(TESTFLAGS)

.PHONY: testbed-svm
testbed-svm: ## run the KVM tests on an emulated host with AMD SVM (installs QEMU if root)
	@$(GO) run ./ci/testbed/run prepare svm
	$(TESTBED) -run '^TestSVM$$' ./ci/testbed

.PHONY: testbed-vhe
testbed-vhe: ## the same on an emulated arm64 host (installs QEMU if root)
	@$(GO) run ./ci/testbed/run prepare vhe
	@$(GO) run ./ci/kernels/fetch arm64-6.1-cloud arm64-6.12-cloud
	$(TESTBED) -run '^TestVHE$$' ./ci/testbed

.PHONY: testbed-vtx
testbed-vtx: ## the same on an emulated host with Intel VT-x (installs Bochs if root)
	@$(GO) run ./ci/testbed/run prepare vtx
	@$(GO) run ./ci/kernels/fetch i386-6.1-pae busybox-i386
	$(TESTBED) -run '^TestVTX$$' ./ci/testbed

.PHONY: bench-boot
bench-boot: build ## CPU seconds to a Debian guest's init, beside QEMU TCG
	@$(GO) run ./benches/boot/bench-boot

.PHONY: bench-cpu
bench-cpu: ## speed of the built-in CPU, beside QEMU TCG
	@$(GO) run ./benches/cpu/bench-cpu

.PHONY: bench-svm
bench-svm: ## KVM guests on an emulated host, beside QEMU microvm, C and bare metal (installs QEMU, gcc if root)
	@$(GO) run ./benches/svm/bench-svm

.PHONY: bench-modes
bench-modes: build ## operations in PV, PVH and HVM side by side, and their counts against targets
	@$(GO) run ./benches/modes/bench-modes; ok=$$?; $(GO) run ./benches/svm/bench-svm -modes && exit $$ok

.PHONY: bench-devices
bench-devices: build ## disks and networks on an emulated SVM host beside QEMU microvm's virtio, and a whole Debian's boot beside QEMU TCG
	@$(GO) run ./benches/svm/bench-svm -devices; ok=$$?; $(GO) run ./benches/boot/bench-boot -disk -runs 2 && exit $$ok

.PHONY: fuzz-cpu
fuzz-cpu: ## compare the built-in CPU with this machine's processor, instruction by instruction
	@$(GO) run ./benches/fuzzcpu

.PHONY: fuzz-guest
fuzz-guest: ## run random guests for five minutes (GOZEN_FUZZ_GUEST=1h for longer)
	GOZEN_FUZZ_GUEST="$${GOZEN_FUZZ_GUEST:-5m}" $(GO) test -count=1 -timeout 0 -v -run 'TestRandom$$' ./ci/abi

.PHONY: fuzz-pv
fuzz-pv: ## run hostile PV guests for ten minutes each on the built-in CPU and on KVM in an emulated host with SVM
	@$(GO) run ./ci/hostile -time 10m; ok=$$?; $(GO) run ./ci/hostile -svm -time 10m && exit $$ok

.PHONY: fuzz
fuzz: ## fuzz every parser of untrusted bytes, FUZZTIME each (10s)
	@$(GO) run ./ci/fuzz -time $(FUZZTIME)

.PHONY: clean
clean: ## remove what was built (the package cache .cache stays)
	rm -rf bin
