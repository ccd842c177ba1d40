//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// A measured job on Linux: the same bytecode as an XDP program, run over the
// same packets by BPF_PROG_TEST_RUN. Under the instruction count a nanosecond
// is an instruction: the kernel times its own loop, so the figure is
// instructions in JITed code and that loop. The empty program, run the same way, is the floor to
// subtract.
//
// A measured guest has no device that the host answers in host time, so the
// frames leave by the serial port.

// One pass over one packet is a whole number of instructions. The kernel
// divides its time by testRuns and rounds down, which leaves out exactly its
// constant cost and the counter's 16 ns as long as they are below testRuns. The
// smaller of testTries leaves out a timer tick that fell into one.
const (
	testRuns  = 256
	testTries = 2
)

func runMeasured(blob []byte, settle time.Duration) error {
	hello := makeHello(true)
	time.Sleep(settle)
	report := measure(blob)
	port, err := openSerial()
	if err != nil {
		return err
	}
	s := &sender{port: port}
	if err := sendHello(s, hello); err != nil {
		return err
	}
	payload := make([]byte, abi.ReportBytes)
	report.Put(payload)
	if err := s.send(abi.MessageReport, 0, payload); err != nil {
		return err
	}
	return closeSerial(port)
}

// measure carries the job out; whatever goes wrong is a code in the report.
func measure(blob []byte) abi.Report {
	report := abi.Report{CPUs: uint32(runtime.NumCPU())}
	job, code := abi.ParseJob(blob)
	if code != abi.OK {
		report.Code = code
		return report
	}
	report.Kind = job.Header.Kind
	if job.Header.Kind != abi.JobBench && job.Header.Kind != abi.JobMeasure || job.Header.Flags&abi.JobPipelineOn != 0 {
		report.Code = abi.ErrUnsupported
		return report
	}
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	if err := runJob(&job, &report); err != nil {
		fmt.Fprintf(os.Stderr, "agent: job: %v\n", err)
		if report.Code == abi.OK {
			report.Code = abi.ErrUnsupported
		}
	}
	return report
}

// passProgram is what the empty program and a job without one do: r0 = XDP_PASS.
var passProgram = asm.Instructions{asm.Mov.Imm(asm.R0, abi.NetRXPass), asm.Return()}

func load(instructions asm.Instructions) (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{Name: "job", Type: ebpf.XDP, License: "GPL", Instructions: instructions})
}

func runJob(job *abi.Job, report *abi.Report) error {
	empty, err := load(passProgram)
	if err != nil {
		return err
	}
	defer empty.Close()
	program := empty
	if wire := job.Program(); len(wire) > 0 && job.Header.Flags&(abi.JobHookBypassed|abi.JobDefaultPolicy) == 0 {
		instructions, err := asm.AppendInstructions(nil, bytes.NewReader(wire), binary.LittleEndian, "")
		if err != nil {
			report.Code = abi.ErrBadOpcode
			return err
		}
		if program, err = load(instructions); err != nil {
			report.Code = abi.ErrRefused
			return err
		}
		defer program.Close()
		report.Program = sha256.Sum256(wire)
	}
	if err := offer(job, report, program, empty); err != nil {
		return err
	}
	report.EventsHandled = report.Offered
	attest(job, report)
	return nil
}

// offer runs both programs over the packets in capture order: each packet
// Repeat times for a bench, or PacketCount packets in all for a measurement.
func offer(job *abi.Job, report *abi.Report, program, empty *ebpf.Program) error {
	weight := uint64(max(job.Header.Repeat, 1))
	left := uint64(job.Trace.PacketCount)
	if job.Header.Kind == abi.JobMeasure {
		weight, left = 1, uint64(job.Header.PacketCount)
	}
	packets := job.Packets()
	for ; left > 0; left-- {
		var packet abi.TracePacket
		frame, ok := packets.Next(&packet)
		if !ok {
			packets = job.Packets()
			if frame, ok = packets.Next(&packet); !ok {
				report.Code = abi.ErrEmpty
				return fmt.Errorf("the trace has no packets")
			}
		}
		action, cost, err := onePass(program, frame)
		if err != nil {
			report.Code = abi.ErrFault
			return err
		}
		_, floor, err := onePass(empty, frame)
		if err != nil {
			report.Code = abi.ErrFault
			return err
		}
		report.Offered += weight
		report.InsnTotal += cost * weight
		report.InsnEmpty += floor * weight
		count(report, packet.Label, action == abi.NetRXPass, weight)
	}
	return nil
}

// onePass returns the program's action for a packet and the instructions of one
// pass over it.
func onePass(program *ebpf.Program, frame []byte) (action uint32, instructions uint64, err error) {
	instructions = math.MaxUint64
	for range testTries {
		runtime.Gosched() // a goroutine that runs on for 10 ms is interrupted by a signal
		var average time.Duration
		if action, average, err = program.Benchmark(frame, testRuns, nil); err != nil {
			return 0, 0, err
		}
		instructions = min(instructions, uint64(average))
	}
	return action, instructions, nil
}

func count(report *abi.Report, label uint8, passed bool, weight uint64) {
	if label == abi.LabelNeeded {
		report.NeededOffered += weight
		if passed {
			report.NeededDelivered += weight
		}
		return
	}
	report.JunkOffered += weight
	if passed {
		report.JunkDelivered += weight
	}
}

// attest binds the figures to nonce, hook and program. Linux gives no access to
// the published code, so the bytes hashed are those that were loaded.
func attest(job *abi.Job, report *abi.Report) {
	hash := sha256.New()
	hash.Write(job.Header.Nonce[:])
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], uint64(abi.HookNetRX))
	hash.Write(word[:])
	hash.Write(job.Program())
	binary.LittleEndian.PutUint64(word[:], report.EventsHandled)
	hash.Write(word[:])
	copy(report.Attestation[:], hash.Sum(nil))
}
