// Command initramfs makes a bootable Linux guest from a Debian arm64 kernel
// package and the agent: Image, initramfs.cpio and image.json, which says what
// they were made from. The same inputs give the same bytes: no times, no owner,
// fixed order. Needs dpkg-deb and xz, neither root nor an arm64 dpkg.
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/u-root/u-root/pkg/cpio"
)

// wantedModules are the drivers of a live guest's devices that Debian builds as
// modules, in an order in which they load (measured on 6.1.192 and 6.12.95). On
// 6.12 the control channel needs none; those absent or built in are skipped.
var wantedModules = []string{
	"virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_mmio",
	"virtio_console", "failover", "net_failover", "virtio_net",
}

// imageBytesMax bounds one file of the package.
const imageBytesMax = 256 << 20

// description is image.json.
type description struct {
	Package         string   `json:"package"`
	PackageSHA256   string   `json:"package_sha256"`
	ImageSHA256     string   `json:"image_sha256"`
	InitramfsSHA256 string   `json:"initramfs_sha256"`
	Modules         []string `json:"modules"`
}

func main() {
	deb := flag.String("deb", "", "linux-image package")
	agent := flag.String("agent", "", "static linux/arm64 binary that becomes /init")
	out := flag.String("out", "", "folder for Image, initramfs.cpio and image.json")
	flag.Parse()
	if err := build(*deb, *agent, *out); err != nil {
		fmt.Fprintf(os.Stderr, "initramfs: %v\n", err)
		os.Exit(1)
	}
}

func build(deb, agent, out string) error {
	init, err := os.ReadFile(agent)
	if err != nil {
		return err
	}
	package_, err := os.ReadFile(deb)
	if err != nil {
		return err
	}
	kernel, modules, err := unpack(deb)
	if err != nil {
		return err
	}
	archive, names, err := pack(init, modules)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	about, err := json.MarshalIndent(description{Package: strings.TrimSuffix(filepath.Base(deb), ".deb"), PackageSHA256: digest(package_),
		ImageSHA256: digest(kernel), InitramfsSHA256: digest(archive), Modules: names}, "", "  ")
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"Image": kernel, "initramfs.cpio": archive, "image.json": append(about, '\n')} {
		if err := os.WriteFile(filepath.Join(out, name), content, 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("%s: Image %.1f MB, initramfs %.1f MB, %d modules\n", out, float64(len(kernel))/1e6, float64(len(archive))/1e6, len(names))
	return nil
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// unpack reads the kernel and the wanted modules out of the package.
func unpack(deb string) (kernel []byte, modules map[string][]byte, err error) {
	command := exec.Command("dpkg-deb", "--fsys-tarfile", deb)
	command.Stderr = os.Stderr
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := command.Start(); err != nil {
		return nil, nil, err
	}
	kernel, modules, err = readPackage(tar.NewReader(stdout))
	_, drained := io.Copy(io.Discard, stdout)
	if err := errors.Join(err, drained, command.Wait()); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", deb, err)
	}
	if !bytes.HasPrefix(kernel[min(len(kernel), 56):], []byte("ARM\x64")) {
		return nil, nil, fmt.Errorf("%s holds no uncompressed arm64 Image", deb)
	}
	return kernel, modules, nil
}

func readPackage(reader *tar.Reader) (kernel []byte, modules map[string][]byte, err error) {
	wanted := map[string]bool{}
	for _, name := range wantedModules {
		wanted[name] = true
	}
	modules = map[string][]byte{}
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return kernel, modules, nil
		}
		if err != nil {
			return nil, nil, err
		}
		file := path.Clean(header.Name)
		base := path.Base(file)
		stem, suffix, _ := strings.Cut(base, ".")
		stem = strings.ReplaceAll(stem, "-", "_")
		isKernel := strings.HasPrefix(file, "boot/vmlinuz-")
		isModule := wanted[stem] && (suffix == "ko" || suffix == "ko.xz")
		if header.Typeflag != tar.TypeReg || !isKernel && !isModule {
			continue
		}
		if header.Size > imageBytesMax {
			return nil, nil, fmt.Errorf("%s is %d bytes, at most %d", file, header.Size, imageBytesMax)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			return nil, nil, err
		}
		if isKernel {
			kernel = content
		} else if modules[stem], err = decompress(suffix, content); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		}
	}
}

func decompress(suffix string, content []byte) ([]byte, error) {
	if suffix == "ko" {
		return content, nil
	}
	command := exec.Command("xz", "--decompress", "--stdout")
	command.Stdin, command.Stderr = bytes.NewReader(content), os.Stderr
	return command.Output()
}

// pack writes the archive: directories, the two device nodes a kernel needs
// before devtmpfs is mounted, /init, and the modules with their load order.
func pack(init []byte, modules map[string][]byte) (archive []byte, names []string, err error) {
	records := []cpio.Record{
		cpio.Directory("dev", 0o755), cpio.CharDev("dev/console", 0o600, 5, 1), cpio.CharDev("dev/null", 0o666, 1, 3),
		cpio.Directory("proc", 0o555), cpio.Directory("sys", 0o555), cpio.Directory("tmp", 0o1777),
		cpio.Directory("bin", 0o755), cpio.Directory("modules", 0o755),
		cpio.StaticFile("init", string(init), 0o755),
	}
	for _, stem := range wantedModules {
		if content, ok := modules[stem]; ok {
			names = append(names, stem+".ko")
			records = append(records, cpio.StaticFile("modules/"+stem+".ko", string(content), 0o644))
		}
	}
	records = append(records, cpio.StaticFile("modules/order", strings.Join(names, "\n")+"\n", 0o644))
	var out bytes.Buffer
	writer := cpio.Newc.Writer(&out)
	for i, record := range records {
		record = cpio.MakeReproducible(record)
		record.Ino = uint64(i + 1)
		if err := writer.WriteRecord(record); err != nil {
			return nil, nil, err
		}
	}
	if err := cpio.WriteTrailer(writer); err != nil {
		return nil, nil, err
	}
	return out.Bytes(), names, nil
}
