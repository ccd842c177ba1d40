# Builds bin/lab: one static binary, without cgo. The Linux guest's recipe is
# beside its sources.

LAB_SOURCES := $(shell find lab kernel optimizer fuzz -name '*.go' -not -path '*/testdata/*' 2>/dev/null)

lab: bin/lab

bin/lab: $(LAB_SOURCES) go.mod go.sum
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -o $@ ./lab/cmd/lab

# The Linux guests: Debian's kernel as it is, and an initramfs with the agent.
LINUX_SERIES  := 6.12
AGENT_SOURCES := $(wildcard images/linux/agent/*.go images/linux/agent/*.s kernel/abi/*.go lab/guest/*.go)

linux-guest: images/out/linux-$(LINUX_SERIES)/image.json

.PHONY: linux-guest-6.1
linux-guest-6.1: deps images/out/linux-6.1/image.json

images/out/linux-agent: $(AGENT_SOURCES) go.mod go.sum
	@mkdir -p $(@D)
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build -trimpath -ldflags '-s -w' -o $@ ./images/linux/agent

images/out/linux-%/image.json: images/out/linux-agent images/linux.lock images/linux/initramfs/main.go images/linux/fetch.sh
	package=$$(images/linux/fetch.sh $* | tail -1) && \
	$(GO) run ./images/linux/initramfs -deb "$$package" -agent $< -out $(@D)
