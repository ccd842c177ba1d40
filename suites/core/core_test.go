// "The C core keeps its word: threads, memory, containment and the last words
// of a panic", shown by the kernel's own exercises (kernel/core/exercise),
// which its command line asks for. Such a guest never says Hello: it prints
// its verdict and switches itself off.
package core

import (
	"errors"
	"regexp"
	"strconv"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/suites/harness"
)

func TestCore(t *testing.T) { harness.RunSuite(t, "The core keeps its word") }

// delayInsnMax bounds, on one CPU under the instruction count, the way from
// the signal to the switch to the woken thread while a lesser one spins.
const delayInsnMax = 1000

// run gives the console of a guest that exercises and ends.
func run(mode fleet.Mode, cpus int, exercise string) string {
	GinkgoHelper()
	instance, err := harness.Pool(1).Start(harness.Context(), fleet.Spec{
		Target: fleet.TargetOurs, Mode: mode, CPUs: cpus, Seed: harness.Seed(), Append: "exercise=" + exercise})
	if err == nil {
		instance.Stop()
		Fail("a guest that exercises said Hello")
	}
	var ended *fleet.BootError
	Expect(errors.As(err, &ended)).To(BeTrue(), "%v", err)
	AddReportEntry("how the guest ended", ended.Error())
	return string(ended.Console)
}

var exercises = []string{"slices", "preempt", "events", "sleep", "exit", "pages", "wxorx", "guard", "guard-nested", "guard-overflow", "code", "fp"}

var _ = Describe("every exercise passes", func() {
	DescribeTable("", func(mode fleet.Mode, cpus int) {
		console := run(mode, cpus, "all")
		Expect(console).To(ContainSubstring("w^x verified"))
		for _, name := range exercises {
			Expect(console).To(ContainSubstring("exercise: " + name + " pass"))
		}
		Expect(console).NotTo(ContainSubstring("FAIL"))
		Expect(console).To(ContainSubstring("exercise: end"))
	},
		Entry("on one CPU, instruction by instruction", fleet.Measured, 1),
		Entry("on four CPUs in turns", fleet.Measured, 4),
		Entry("on four CPUs at once", fleet.Live, 4),
		Entry("on all eight at once", fleet.Live, 8))
})

var longestDelay = regexp.MustCompile(`longest delay (\d+) ns of (\d+)`)

var _ = Describe("preemption", func() {
	It("reaches a woken thread within a stated number of instructions", func() {
		console := run(fleet.Measured, 1, "preempt")
		match := longestDelay.FindStringSubmatch(console)
		Expect(match).NotTo(BeNil(), console)
		delay, _ := strconv.Atoi(match[1])
		samples, _ := strconv.Atoi(match[2])
		AddReportEntry("longest delay, instructions", delay)
		Expect(samples).To(BeNumerically(">=", 100), "wake-ups measured")
		Expect(delay).To(And(BeNumerically(">", 0), BeNumerically("<", delayInsnMax)))
	})
})

var _ = Describe("a fault of the kernel itself", func() {
	DescribeTable("is told with its cause, registers and names, and ends the machine", func(exercise, cause, place string) {
		console := run(fleet.Live, 2, exercise)
		Expect(console).To(ContainSubstring("panic: " + cause))
		Expect(console).To(ContainSubstring("thread exercise"))
		Expect(console).To(MatchRegexp(`panic: x27 [0-9a-f]{16} x28 [0-9a-f]{16} x29 [0-9a-f]{16}`))
		Expect(console).To(MatchRegexp(`panic: (pc|from) [0-9a-f]{16} ` + place + `\+`))
		Expect(console).To(ContainSubstring("panic: end"))
		Expect(console).NotTo(ContainSubstring("still alive"))
	},
		Entry("panic", "die-panic", "asked for by the command line", "exercise_die"),
		Entry("a store to the text", "die-write-text", "data abort", "exercise_die"),
		Entry("a jump to data", "die-run-data", "instruction abort", "thread_trampoline"),
		Entry("a stack that runs over", "die-stack", "stack overflow", "descend"),
		Entry("an address nothing maps", "die-null", "data abort", "exercise_die"),
		Entry("floating point in a thread that has none", "die-fp", "exception", "exercise_die"),
		Entry("a service that fails under a lock", "die-guard-locked", "check failed", "fail_locked"))
})
