# Builds images/out/kernel.elf (unstripped) and images/out/kernel.img: TinyGo
# from its pinned module, the Go services as one object, the C core, two links
# (the second with the table of names), gates A to F. Included by the Makefile.

KERNEL_OUT    := images/out/kernel
TOOLCHAIN     := images/out/toolchain
TINYGO        := $(TOOLCHAIN)/tinygo
TINYGO_ROOT   := $(TOOLCHAIN)/root
TINYGO_MODULE := images/tools/tinygo
KERNEL_TARGET := kernel/rt/tinygo/goskernel.json

CLANG   := clang-19
LLD     := ld.lld-19
OBJCOPY := llvm-objcopy-19
LLC     := llc-19

KERNEL_MACHINE := --target=aarch64-none-elf -mcpu=cortex-a72 -ffreestanding -mgeneral-regs-only \
	-O2 -ffunction-sections -fdata-sections
KERNEL_CFLAGS  := $(KERNEL_MACHINE) -std=c17 -g -fno-omit-frame-pointer -ffixed-x18 \
	-Wall -Wextra -Werror -Wframe-larger-than=2048 -I kernel -MMD -MP -fstack-size-section
KERNEL_LDFLAGS := -T kernel/board/qemuvirt/kernel.ld --gc-sections --fatal-warnings

KERNEL_C       := $(shell find kernel/arch kernel/board kernel/core kernel/drivers kernel/rt -name '*.c' \
	! -path '*/testdata/*' ! -name '*_host_test.c' 2>/dev/null)
KERNEL_S       := $(shell find kernel/arch kernel/board kernel/core kernel/drivers -name '*.S' ! -path '*/testdata/*' 2>/dev/null)
KERNEL_OBJECTS := $(KERNEL_C:%.c=$(KERNEL_OUT)/%.o) $(KERNEL_S:%.S=$(KERNEL_OUT)/%.o)
# kernel/elf and kernel/sim are host only and no part of the image.
KERNEL_GO      := $(shell find kernel/abi kernel/rt/*.go kernel/rt/entry kernel/svc -name '*.go' ! -name '*_test.go' 2>/dev/null)
KERNEL_GO_ALL  := $(shell find kernel/abi kernel/rt kernel/svc kernel/sim -name '*.go' 2>/dev/null)
# Gate A: every export is forced into the link, so that a heap allocation
# which no C caller reaches yet is an error all the same.
KERNEL_EXPORTS := go_init $(shell sed -n 's|^//export ||p' kernel/rt/entry/*.go)
KERNEL_FORCED  := $(KERNEL_EXPORTS:%=-u %)

.PHONY: toolchain
kernel: images/out/kernel.img $(KERNEL_OUT)/gates.done
toolchain: $(TINYGO) $(TINYGO_ROOT)/ready ## the pinned TinyGo, built from its module

$(TINYGO): $(TINYGO_MODULE)/go.mod $(TINYGO_MODULE)/go.sum | deps
	@mkdir -p $(TOOLCHAIN)
	@$(STEP) "building TinyGo from its pinned module (about a minute when new)" \
		sh -c 'cd $(TINYGO_MODULE) && $(GO) build -tags llvm19 -o $(CURDIR)/$@ github.com/tinygo-org/tinygo && touch $(CURDIR)/$@'

# A private, writable copy of TinyGo's root with our port added. src/net is a
# submodule that the module archive lacks; an empty folder is enough.
TINYGO_PORT := kernel/rt/tinygo/runtime/runtime_goskernel.go kernel/rt/tinygo/interrupt/interrupt_goskernel.go
$(TINYGO_ROOT)/ready: $(TINYGO_MODULE)/go.mod $(TINYGO_PORT) $(TINYGO)
	@[ ! -d $(TINYGO_ROOT) ] || chmod -R u+w $(TINYGO_ROOT)
	@rm -rf $(TINYGO_ROOT)
	@cp -r "$$(cd $(TINYGO_MODULE) && $(GO) mod download github.com/tinygo-org/tinygo && \
		$(GO) list -m -f '{{.Dir}}' github.com/tinygo-org/tinygo)" $(TINYGO_ROOT)
	@chmod -R u+w $(TINYGO_ROOT) && mkdir -p $(TINYGO_ROOT)/src/net
	@cp kernel/rt/tinygo/runtime/runtime_goskernel.go $(TINYGO_ROOT)/src/runtime/
	@cp kernel/rt/tinygo/interrupt/interrupt_goskernel.go $(TINYGO_ROOT)/src/runtime/interrupt/
	@touch $@

# Bitcode and not an object: only sections per function let the linker drop
# TinyGo's own exports (malloc among them), which would need a heap. llc and
# not clang makes the object: it alone keeps frame pointers, for back traces.
$(KERNEL_OUT)/services.bc: $(KERNEL_GO) $(KERNEL_TARGET) $(TINYGO_ROOT)/ready
	@mkdir -p $(@D)
	@$(STEP) "compiling the Go services with TinyGo" env TINYGOROOT=$(CURDIR)/$(TINYGO_ROOT) \
		$(TINYGO) build -target=$(KERNEL_TARGET) -gc=none -scheduler=none -panic=trap -opt=2 -o $@ ./kernel/rt/entry

$(TOOLCHAIN)/mergeswitch: $(wildcard $(TINYGO_MODULE)/cmd/mergeswitch/*.go) $(TINYGO)
	@cd $(TINYGO_MODULE) && $(GO) build -tags llvm19 -o $(CURDIR)/$@ ./cmd/mergeswitch

$(KERNEL_OUT)/services.o: $(KERNEL_OUT)/services.bc $(TOOLCHAIN)/mergeswitch
	@$(CLANG) $(KERNEL_MACHINE) -Wno-override-module -emit-llvm -c $< -o $(@:.o=.optimised.bc)
	@$(TOOLCHAIN)/mergeswitch $(@:.o=.optimised.bc) $(@:.o=.merged.bc)
	@$(LLC) -O2 -mcpu=cortex-a72 -function-sections -data-sections -frame-pointer=non-leaf -filetype=obj \
		-stack-size-section -aarch64-enable-compress-jump-tables=false $(@:.o=.merged.bc) -o $@

$(KERNEL_OUT)/%.o: %.c | deps
	@mkdir -p $(@D)
	@$(CLANG) $(KERNEL_CFLAGS) -c $< -o $@

$(KERNEL_OUT)/%.o: %.S | deps
	@mkdir -p $(@D)
	@$(CLANG) $(KERNEL_CFLAGS) -c $< -o $@

$(KERNEL_OUT)/kernelimage: $(wildcard kernel/rt/image/*.go kernel/rt/image/cmd/kernelimage/*.go)
	@mkdir -p $(@D)
	@$(GO) build -o $@ ./kernel/rt/image/cmd/kernelimage

$(KERNEL_OUT)/first.elf: $(KERNEL_OBJECTS) $(KERNEL_OUT)/services.o kernel/board/qemuvirt/kernel.ld
	@$(LLD) $(KERNEL_LDFLAGS) $(KERNEL_FORCED) $(KERNEL_OBJECTS) $(KERNEL_OUT)/services.o -o $@

images/out/kernel.img: $(KERNEL_OUT)/first.elf $(KERNEL_OUT)/kernelimage
	@$(STEP) "linking the kernel" $(MAKE) --no-print-directory kernel-link

# One recipe makes both; this line is for who asks for the other by name.
images/out/kernel.elf: images/out/kernel.img ;

# Second link, with names; then the flat image, then its digest into both.
.PHONY: kernel-link
kernel-link:
	@$(KERNEL_OUT)/kernelimage symbols $(KERNEL_OUT)/first.elf $(KERNEL_OUT)/symbols.S
	@$(CLANG) --target=aarch64-none-elf -c $(KERNEL_OUT)/symbols.S -o $(KERNEL_OUT)/symbols.o
	@$(LLD) $(KERNEL_LDFLAGS) $(KERNEL_FORCED) $(KERNEL_OBJECTS) $(KERNEL_OUT)/services.o \
		$(KERNEL_OUT)/symbols.o -o images/out/kernel.elf
	@$(OBJCOPY) -O binary images/out/kernel.elf images/out/kernel.img
	@$(KERNEL_OUT)/kernelimage seal $(KERNEL_OUT)/first.elf images/out/kernel.elf images/out/kernel.img images/out/kernel.sha256

$(KERNEL_OUT)/gates: $(wildcard kernel/rt/gates/*.go kernel/rt/gates/cmd/gates/*.go)
	@mkdir -p $(@D)
	@$(GO) build -o $@ ./kernel/rt/gates/cmd/gates

$(KERNEL_OUT)/gates.done: images/out/kernel.img $(KERNEL_OUT)/gates $(KERNEL_GO_ALL)
	@$(STEP) "gates A to F: no heap, no runtime state, no floating point, no banned construct, host tests, stacks" \
		$(KERNEL_OUT)/gates -kernel images/out/kernel.elf -services $(KERNEL_OUT)/services.o
	@touch $@

-include $(KERNEL_OBJECTS:.o=.d)
