// Package hosttest has no code of its own: its test builds the virtqueue for the host
// and sets it against a device that lies, under the address and undefined
// behaviour sanitizers.
package hosttest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestQueueBelievesNoUsedRing(t *testing.T) {
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("SKIP: no gcc on this machine: the virtqueue's host test did not run")
	}
	binary := filepath.Join(t.TempDir(), "queue_host")
	build := exec.Command(compiler, "-std=gnu17", "-O1", "-g", "-Wall", "-Werror",
		"-fsanitize=address,undefined", "-fno-sanitize-recover=all",
		"-I", "testdata/include", "-I", "../../..", "-o", binary, "../queue.c", "testdata/queue_host.c")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for seed := 1; seed <= 8; seed++ {
		output, err := exec.Command(binary, fmt.Sprint(seed)).CombinedOutput()
		if err != nil {
			t.Errorf("seed %d: %v\n%s", seed, err, output)
		}
	}
}
