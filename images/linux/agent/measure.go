//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// A measured job on Linux: the same bytecode as an XDP program, run over the
// same packets by BPF_PROG_TEST_RUN. The kernel times its own loop, and under
// the instruction count a nanosecond is an instruction, so the figure is
// instructions in JITed code and its dispatch. The empty program, run the same
// way, is the floor to subtract.
//
// Nothing is said on the control channel before the figures are made: the
// host's answers come in host time and would move them.

// testRunsMin passes over each packet at least: the counter ticks every 16 ns,
// so one pass would say little.
const testRunsMin = 256

func runMeasured(blob []byte, settle time.Duration) error {
	time.Sleep(settle)
	report := measure(blob)
	port, err := openPort()
	if err != nil {
		return err
	}
	s := &sender{port: port}
	if err := sendHello(s, true); err != nil {
		return err
	}
	payload := make([]byte, abi.ReportBytes)
	report.Put(payload)
	if err := s.send(abi.MessageReport, 0, payload); err != nil {
		return err
	}
	return drain(port)
}

// drain gives the host the time to take what was written before the power goes.
func drain(port *os.File) error {
	time.Sleep(10 * time.Millisecond)
	return port.Close()
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
	runs := int(max(weight, testRunsMin))
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
		action, cost, err := program.Benchmark(frame, runs, nil)
		if err != nil {
			report.Code = abi.ErrFault
			return err
		}
		_, floor, err := empty.Benchmark(frame, runs, nil)
		if err != nil {
			report.Code = abi.ErrFault
			return err
		}
		report.Offered += weight
		report.InsnTotal += uint64(cost) * weight
		report.InsnEmpty += uint64(floor) * weight
		count(report, packet.Label, action == abi.NetRXPass, weight)
	}
	return nil
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
