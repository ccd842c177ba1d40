# Builds bin/lab: one static binary, without cgo. The Linux guest's recipe is
# beside its sources.

LAB_SOURCES := $(shell find lab kernel optimizer fuzz -name '*.go' -not -path '*/testdata/*' 2>/dev/null)

lab: bin/lab

bin/lab: $(LAB_SOURCES) go.mod go.sum
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -o $@ ./lab/cmd/lab
