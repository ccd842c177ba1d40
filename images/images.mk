# What is fetched or built to check the tree: the pinned golangci-lint, and the
# linters' targets. Included by the Makefile.

GOLANGCI := images/out/tools/golangci-lint
C_FILES   = $(shell git ls-files 'kernel/*.c' 'kernel/*.h' | grep -v -e /gen/ -e /testdata/)
# clang-tidy reads the C that goes into the image, with the flags it is built with.
C_TIDY    = $(shell git ls-files 'kernel/arch/*.c' 'kernel/board/*.c' 'kernel/core/*.c' 'kernel/drivers/*.c' | grep -v -e /testdata/ -e /hosttest/ -e _host_test)

.PHONY: lint-go lint-c-format lint-c-tidy
lint: lint-go lint-c-format lint-c-tidy

$(GOLANGCI): images/tools/lint/go.mod images/tools/lint/go.sum
	@mkdir -p $(@D)
	@$(STEP) "building golangci-lint from its pinned module (about two minutes when new)" \
		sh -c 'cd images/tools/lint && CGO_ENABLED=0 $(GO) build -trimpath -o $(CURDIR)/$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint && touch $(CURDIR)/$@'

lint-go: $(GOLANGCI)
	@$(STEP) "golangci-lint" $(GOLANGCI) run --allow-parallel-runners ./...
lint-c-format:
	@$(STEP) "clang-format" clang-format-19 --dry-run -Werror $(C_FILES)
lint-c-tidy:
	@$(STEP) "clang-tidy" sh -c 'printf "%s\n" $(C_TIDY) | xargs -P 2 -I FILE clang-tidy-19 --quiet --warnings-as-errors="*" FILE -- \
		$(KERNEL_MACHINE) -std=c17 -I kernel -Wall -Wextra 2>/dev/null'
