//go:build !tinygo

package analyze

import "github.com/kingly-os/go-kernel/kernel/svc/bpf"

// NewWorkspace makes a workspace for programs of up to slots slots: hosts may
// judge longer programs than the kernel reserves memory for.
func NewWorkspace(slots int) *Workspace {
	return &Workspace{
		instructions: make([]bpf.Instruction, slots),
		flags:        make([]uint8, slots),
		longest:      make([]uint32, slots),
	}
}
