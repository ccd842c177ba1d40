package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/u-root/u-root/pkg/cpio"
)

// packageTar is what dpkg-deb prints of a kernel package, in little.
func packageTar(t *testing.T, files map[string][]byte) *tar.Reader {
	t.Helper()
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for name, content := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}
		if err := writer.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return tar.NewReader(&out)
}

// TestReadPackage takes the kernel and the wanted modules, compressed or not,
// and nothing else.
func TestReadPackage(t *testing.T) {
	if _, err := exec.LookPath("xz"); err != nil {
		t.Fatal("xz is not installed: apt-get install xz-utils")
	}
	compress := exec.Command("xz", "--stdout")
	compress.Stdin = strings.NewReader("failover")
	compressed, err := compress.Output()
	if err != nil {
		t.Fatal(err)
	}
	const folder = "./lib/modules/6.12/kernel/drivers/net/"
	kernel, modules, err := readPackage(packageTar(t, map[string][]byte{
		"./boot/vmlinuz-6.12": []byte("kernel"), "./boot/config-6.12": []byte("config"), folder + "virtio_net.ko": []byte("net"),
		folder + "failover.ko.xz": compressed, folder + "other.ko": []byte("other"), "./usr/share/doc/virtio_net": []byte("text"),
	}))
	if err != nil || string(kernel) != "kernel" || len(modules) != 2 || string(modules["virtio_net"]) != "net" || string(modules["failover"]) != "failover" {
		t.Errorf("kernel %q, modules %q, %v", kernel, modules, err)
	}
	if _, _, err := readPackage(packageTar(t, map[string][]byte{folder + "failover.ko.xz": []byte("not xz")})); err == nil {
		t.Error("a damaged module was accepted")
	}
}

// TestUnpackRefuses what is no package, and a package without a kernel.
func TestUnpackRefuses(t *testing.T) {
	path := t.TempDir() + "/no.deb"
	if err := os.WriteFile(path, []byte("no package"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := unpack(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("unpack = %v; want an error that names the file", err)
	}
}

// TestPack: the same inputs give the same bytes, modules stand in load order,
// and no time or owner is in the archive.
func TestPack(t *testing.T) {
	modules := map[string][]byte{"virtio_net": []byte("n"), "net_failover": []byte("nf"), "failover": []byte("f")}
	first, names, err := pack([]byte("agent"), modules)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"failover.ko", "net_failover.ko", "virtio_net.ko"}; !slices.Equal(names, want) {
		t.Errorf("load order %v, want %v", names, want)
	}
	for range 5 {
		again, _, err := pack([]byte("agent"), modules)
		if err != nil || !bytes.Equal(first, again) {
			t.Fatalf("archives differ, or %v", err)
		}
	}
	reader := cpio.Newc.Reader(bytes.NewReader(first))
	records, err := cpio.ReadAllRecords(reader)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]cpio.Record{}
	for _, record := range records {
		found[record.Name] = record
		if record.MTime != 0 || record.UID != 0 || record.GID != 0 {
			t.Errorf("%s carries time %d, owner %d:%d", record.Name, record.MTime, record.UID, record.GID)
		}
	}
	init, ok := found["init"]
	if !ok || init.Mode&0o111 == 0 {
		t.Fatalf("init is missing or not executable: %+v", init)
	}
	content, err := io.ReadAll(io.NewSectionReader(init, 0, int64(init.FileSize)))
	if err != nil || string(content) != "agent" {
		t.Errorf("init holds %q, %v", content, err)
	}
	if _, ok := found["dev/console"]; !ok {
		t.Error("no console: the agent's errors would be lost")
	}
}
