package loop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kingly-os/go-kernel/kernel/elf"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/optimizer/propose"
)

// compiler of the seed filters: the LLVM that builds the kernel.
const compiler = "clang-19"

// CompileSeeds compiles the seed filters written in C into dir, as real ELF
// objects, and reads them back.
func CompileSeeds(ctx context.Context, dir string) ([]Object, error) {
	path, err := exec.LookPath(compiler)
	if err != nil {
		return nil, fmt.Errorf("%s is not installed: %w", compiler, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	names, err := propose.WriteSources(dir)
	if err != nil {
		return nil, err
	}
	var objects []Object
	for _, source := range names {
		name := strings.TrimSuffix(source, ".c")
		output := filepath.Join(dir, name+".o")
		command := exec.CommandContext(ctx, path, "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror",
			"-c", filepath.Join(dir, source), "-o", output)
		if text, err := command.CombinedOutput(); err != nil {
			return objects, fmt.Errorf("%s: %w\n%s", source, err, text)
		}
		bytes, err := os.ReadFile(output)
		if err != nil {
			return objects, err
		}
		objects = append(objects, Object{Name: name, Bytes: bytes})
	}
	return objects, nil
}

// readObject takes the one XDP program out of an object.
func readObject(object []byte) (bpf.Type, []bpf.Instruction, error) {
	programs, err := elf.Read(object)
	if err != nil {
		return 0, nil, err
	}
	if len(programs) != 1 {
		return 0, nil, fmt.Errorf("the object holds %d programs, want one", len(programs))
	}
	kind, known := elf.TypeOf(programs[0].Section)
	if !known {
		return 0, nil, fmt.Errorf("section %q names no hook of ours", programs[0].Section)
	}
	return kind, programs[0].Instructions, nil
}
