// "What we accept, Linux on ARM64 accepts, and both return the same": the
// comparison of fuzz/linux, built as a static program and run in the guest.
package oracle

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/guest"
	"github.com/kingly-os/go-kernel/suites/harness"
)

func TestOracle(t *testing.T) { harness.RunSuite(t, "Linux on ARM64 agrees with our verifier and interpreter") }

// programsDefault takes the guest about half a minute; ORACLE_PROGRAMS asks for more.
const programsDefault = 3000

func programCount() string {
	if text := os.Getenv("ORACLE_PROGRAMS"); text != "" {
		return text
	}
	return strconv.Itoa(programsDefault)
}

var figures = regexp.MustCompile(`accepted: ours strict (\d+), .* runs compared (\d+); findings (\d+)`)

var _ = Describe("generated programs", func() {
	It("get the same verdict and return the same in the Linux guest", func() {
		pool := harness.Pool(1)
		if missing := pool.Artefacts().Missing(fleet.TargetLinux612); len(missing) > 0 {
			Skip("SKIP: no Linux guest: run make linux-guest")
		}
		binary := filepath.Join(GinkgoT().TempDir(), "oracle.test")
		build := exec.Command("go", "test", "-c", "-o", binary, "../../fuzz/linux")
		build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
		output, err := build.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", output)

		seed := harness.Seed()
		machine, err := pool.Start(harness.Context(), fleet.Spec{Target: fleet.TargetLinux612, CPUs: 1, MemoryMiB: 1024, Seed: seed})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(machine.Stop)
		file, err := os.Open(binary)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(file.Close)
		Expect(machine.Control().PutFile(harness.Context(), "/tmp/oracle.test", 0o755, file)).To(Succeed())

		var out, diagnosis bytes.Buffer
		exit, err := machine.Control().Exec(harness.Context(), guest.ExecRequest{Path: "/tmp/oracle.test", Directory: "/tmp",
			Arguments:   []string{"-test.v", "-test.run", "TestLinuxAgrees", "-programs", programCount(), "-seed", strconv.FormatUint(seed, 10)},
			Environment: []string{"ORACLE_REQUIRED=1"}}, strings.NewReader(""), &out, &diagnosis)
		if errors.Is(err, guest.ErrClosed) {
			Fail("the guest ended\n" + string(machine.Console()))
		}
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("figures", out.String(), ReportEntryVisibilityAlways)
		Expect(exit.ExitCode).To(BeEquivalentTo(0), "%s%s", &out, &diagnosis)
		match := figures.FindStringSubmatch(out.String())
		Expect(match).To(HaveLen(4), "no figures in %s", &out)
		Expect(strconv.Atoi(match[2])).To(BeNumerically(">", 0), "no run was compared")
		Expect(match[3]).To(Equal("0"))
	})
})
