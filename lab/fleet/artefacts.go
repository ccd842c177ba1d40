package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Targets a guest can be made of. "linux" is short for TargetLinux612.
const (
	TargetOurs     = "go-kernel"
	TargetLinux612 = "linux-6.12"
	TargetLinux61  = "linux-6.1"
)

// Targets lists every known target.
var Targets = []string{TargetOurs, TargetLinux612, TargetLinux61}

// CanonicalTarget turns a name from a command line into one of Targets.
func CanonicalTarget(name string) (string, error) {
	if name == "linux" {
		return TargetLinux612, nil
	}
	for _, known := range Targets {
		if name == known {
			return name, nil
		}
	}
	return "", fmt.Errorf("unknown target %q: use go-kernel, linux-6.12 (or linux) or linux-6.1", name)
}

// IsLinux says whether a canonical target runs Linux.
func IsLinux(target string) bool { return target == TargetLinux612 || target == TargetLinux61 }

// Artefacts are the files that guests are started from.
type Artefacts struct {
	Root   string // the repository
	Images string // images/out
}

// moduleLine begins the go.mod of this repository.
var moduleLine = []byte("module github.com/kingly-os/go-kernel\n")

// FindArtefacts looks for the repository: LAB_ROOT, else the folders above the
// working directory, else those above the running binary.
func FindArtefacts() (Artefacts, error) {
	var starts []string
	if root := os.Getenv("LAB_ROOT"); root != "" {
		starts = []string{root}
	} else {
		if cwd, err := os.Getwd(); err == nil {
			starts = append(starts, cwd)
		}
		if self, err := os.Executable(); err == nil {
			starts = append(starts, filepath.Dir(self))
		}
	}
	for _, start := range starts {
		for dir := start; ; dir = filepath.Dir(dir) {
			text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			if err == nil && bytes.HasPrefix(text, moduleLine) {
				return ArtefactsIn(dir), nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return Artefacts{}, errors.New("repository not found: run lab inside it or set LAB_ROOT to its folder")
}

// ArtefactsIn names the artefacts of the repository at root. LAB_IMAGES moves
// the build output elsewhere.
func ArtefactsIn(root string) Artefacts {
	images := os.Getenv("LAB_IMAGES")
	if images == "" {
		images = filepath.Join(root, "images", "out")
	}
	return Artefacts{Root: root, Images: images}
}

// Kernel is the image given to -kernel.
func (a Artefacts) Kernel(target string) string {
	if target == TargetOurs {
		return filepath.Join(a.Images, "kernel.img")
	}
	return filepath.Join(a.Images, target, "Image")
}

// Symbols is the unstripped kernel for gdb, or empty.
func (a Artefacts) Symbols(target string) string {
	if target == TargetOurs {
		return filepath.Join(a.Images, "kernel.elf")
	}
	return ""
}

// Initramfs is the guest's file system; ours has none (its initrd is the job).
func (a Artefacts) Initramfs(target string) string {
	if target == TargetOurs {
		return ""
	}
	return filepath.Join(a.Images, target, "initramfs.cpio")
}

// BuildCommand is what makes the files of a target.
func (a Artefacts) BuildCommand(target string) string {
	if target == TargetOurs {
		return "make kernel"
	}
	if target == TargetLinux61 {
		return "make linux-guest-6.1"
	}
	return "make linux-guest"
}

// Missing names the files of a target that do not exist.
func (a Artefacts) Missing(target string) []string {
	var missing []string
	for _, path := range []string{a.Kernel(target), a.Initramfs(target)} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			missing = append(missing, path)
		}
	}
	return missing
}
