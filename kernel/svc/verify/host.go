//go:build !tinygo

package verify

import "github.com/kingly-os/go-kernel/kernel/abi"

// NewWorkspace makes a workspace on the heap of a host.
func NewWorkspace() *Workspace { return new(Workspace) }

// MaxSlots is the longest program a workspace takes.
const MaxSlots = abi.ProgramInstructionsMax
