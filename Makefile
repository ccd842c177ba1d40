# The way in: `make` alone prints help. Recipes for the parts live beside them:
# kernel/kernel.mk adds to `kernel`, lab/lab.mk to `lab` and `linux-guest`, images/images.mk
# holds what is fetched. Each adds prerequisites to the targets named here.

SHELL       := /bin/sh
GO          ?= go
STEP        := images/step.sh

.DEFAULT_GOAL := help
.PHONY: help

help:
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nStart here: make lab up. Before handing work over: make test.\n'

##@ Run
.PHONY: lab up deps
lab: deps kernel linux-guest ## build bin/lab, the kernel and the Linux guest; install what is missing
up: lab ## boot the fleet, run the first campaign, serve the page (UP_FLAGS="--once --json" and so on)
	bin/lab up $(UP_FLAGS)
deps: ## install the Debian packages that are missing, or list them and stop
	@images/install.sh build

##@ Build parts
.PHONY: kernel linux-guest generate clean
kernel: deps ## images/out/kernel.elf and kernel.img, through gates A to F
linux-guest: deps ## Debian's arm64 kernel and the agent's initramfs, for the baseline
generate: ## write every generated file again (kernel/abi/gen)
	$(GO) run ./kernel/abi/gen/cmd/abigen
clean: ## delete build output; the download cache stays (make clean-cache deletes it)
	rm -rf bin images/out/kernel images/out/kernel.* images/out/*.test images/out/test

##@ Check
.PHONY: test tidy lint format fuzz-short
test: ## everything: host tests, fuzz seeds, gates, tidy, suites in VMs, short fuzz, browser
	@mkdir -p images/out/tools && $(GO) build -o images/out/tools/check ./images/check && images/out/tools/check
tidy: ## house rules: imports, lengths, banned calls, stale and lost files
	$(GO) test -count=1 ./images/tidy/
lint: deps-test ## golangci-lint, clang-format and clang-tidy
format: deps-test ## rewrite Go and C in the house layout
	gofmt -w $(shell git ls-files '*.go')
	clang-format-19 -i $(C_FILES)
fuzz-short: deps ## every fuzz target for a moment (FUZZ_SECONDS=60 CPU seconds in all)
	@mkdir -p images/out/tools && $(GO) build -o images/out/tools/check ./images/check && images/out/tools/check -fuzz-only -fuzz-seconds $${FUZZ_SECONDS:-60}

##@ Now and then
.PHONY: capture clean-cache deps-test oracle
oracle: lab ## our verifier and interpreter against Linux's, at length: on this machine (root) and in the ARM64 guest
	$(GO) test -count=1 -timeout 60m -v ./fuzz/linux -programs $${HOST_PROGRAMS:-200000} -seed $${LAB_SEED:-1}
	ORACLE_PROGRAMS=$${ORACLE_PROGRAMS:-20000} LAB_REQUIRE_GUESTS=1 $(GO) test -count=1 -timeout 60m -v ./suites/oracle
capture: ## record lab/capture/testdata again from real programs (root, network namespace)
	@images/install.sh capture
	$(GO) run ./lab/capture/cmd/capture
deps-test: ## what the tests need beyond deps
	@images/install.sh build test
clean-cache: clean ## delete downloads and toolchain too
	rm -rf images/out

-include kernel/kernel.mk lab/lab.mk images/images.mk
