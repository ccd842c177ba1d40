package experiment

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/guest"
)

// BuildJob makes the initrd of one measured guest.
func BuildJob(w Workload, arm Arm, nonce [32]byte) ([]byte, error) {
	spec := guest.JobSpec{Kind: abi.JobMeasure, Seed: w.Seed, Nonce: nonce, Program: arm.Program,
		Trace: w.Trace, Listens: w.Listens, Phases: w.Phases,
		PacketCount: w.PacketCount, IntervalNS: w.IntervalNS}
	switch arm.Role {
	case RoleFloor:
		spec.Flags = abi.JobHookBypassed
	case RoleDefault, RoleControl:
		spec.Flags = abi.JobDefaultPolicy
	}
	blob, err := guest.AppendJob(nil, spec)
	if err != nil {
		return nil, fmt.Errorf("arm %s: %w", arm.Name, err)
	}
	return blob, nil
}

// Attestation is what a guest must answer: SHA-256 over the nonce of its job,
// the hook, the program's bytes hashed in place, and the events it handled.
func Attestation(nonce [32]byte, hook abi.HookID, program []byte, events uint64) abi.Digest {
	h := sha256.New()
	h.Write(nonce[:])
	h.Write([]byte{byte(hook)})
	h.Write(program)
	h.Write(binary.LittleEndian.AppendUint64(nil, events))
	return abi.Digest(h.Sum(nil))
}
