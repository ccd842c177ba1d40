// Command mergeswitch reads LLVM bitcode, merges chains of switches on one
// value into single switches, and writes bitcode.
//
//	mergeswitch IN.bc OUT.bc
//
// Why: TinyGo translates a Go switch into a chain of comparisons, and LLVM folds
// the chain only up to about 64 cases (SimplifyCFG, isValueEqualityComparison),
// so that a large switch becomes several behind each other. The interpreter's
// dispatch went through three range checks and two jump tables per instruction;
// merged, it is one of each. A large switch over a byte then gets a case for
// every value its default stood for, so that the range check goes too, and llc
// can put the dispatch behind every case. Both changes keep the meaning.
package main

import (
	"errors"
	"fmt"
	"os"

	"tinygo.org/x/go-llvm"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mergeswitch:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: mergeswitch IN.bc OUT.bc")
	}
	context := llvm.NewContext()
	defer context.Dispose()
	buffer, err := llvm.NewMemoryBufferFromFile(args[0])
	if err != nil {
		return err
	}
	module, err := context.ParseIR(buffer)
	if err != nil {
		return err
	}
	defer module.Dispose()
	m := merger{context: context, builder: context.NewBuilder()}
	for function := module.FirstFunction(); !function.IsNil(); function = llvm.NextFunction(function) {
		if function.IsDeclaration() {
			continue
		}
		for m.mergeOne(function) {
		}
		for _, block := range function.BasicBlocks() {
			m.complete(function, switchOf(block))
		}
	}
	if err := llvm.VerifyModule(module, llvm.ReturnStatusAction); err != nil {
		return err
	}
	out, err := os.Create(args[1])
	if err != nil {
		return err
	}
	return errors.Join(llvm.WriteBitcodeToFile(module, out), out.Close())
}

type merger struct {
	context llvm.Context
	builder llvm.Builder
}

// completeCasesMin is how many of a byte's 256 values must have a case of
// their own before the rest are spelled out.
const completeCasesMin = 128

// complete gives every value of a byte a case; the default is then never taken.
func (m *merger) complete(function, s llvm.Value) {
	if s.IsNil() || s.Operand(0).Type() != m.context.Int8Type() || s.OperandsCount()/2-1 < completeCasesMin {
		return
	}
	otherwise := s.Operand(1).AsBasicBlock()
	if !otherwise.FirstInstruction().IsAPHINode().IsNil() {
		return // each new edge would need an entry
	}
	var present [256]bool
	for i := 2; i < s.OperandsCount(); i += 2 {
		present[byte(s.Operand(i).ZExtValue())] = true
	}
	for value, there := range present {
		if !there {
			s.AddCase(llvm.ConstInt(m.context.Int8Type(), uint64(value), false), otherwise)
		}
	}
	never := m.context.AddBasicBlock(function, "never")
	m.builder.SetInsertPointAtEnd(never)
	m.builder.CreateUnreachable()
	s.SetOperand(1, never.AsValue())
}

// mergeOne merges the first pair it finds and says whether there was one.
func (m *merger) mergeOne(function llvm.Value) bool {
	for _, block := range function.BasicBlocks() {
		upper := switchOf(block)
		if upper.IsNil() {
			continue
		}
		below := upper.Operand(1).AsBasicBlock()
		lower := switchOf(below)
		if lower.IsNil() || lower != below.FirstInstruction() || lower.Operand(0) != upper.Operand(0) ||
			below == block || predecessors(function, below) != 1 || sharesPhi(upper, lower) {
			continue
		}
		m.merge(upper, lower, block, below)
		return true
	}
	return false
}

// switchOf is the switch a block ends in, or nil.
func switchOf(block llvm.BasicBlock) llvm.Value {
	last := block.LastInstruction()
	if last.IsNil() || last.IsASwitchInst().IsNil() {
		return llvm.Value{}
	}
	return last
}

// targets lists the blocks a switch may go to, one entry per edge: the default
// first, then the cases. Operands are condition, default, value, block, ...
func targets(s llvm.Value) (blocks []llvm.BasicBlock) {
	for i := 1; i < s.OperandsCount(); i += 2 {
		blocks = append(blocks, s.Operand(i).AsBasicBlock())
	}
	return blocks
}

// predecessors counts edges into a block.
func predecessors(function llvm.Value, block llvm.BasicBlock) (edges int) {
	for _, other := range function.BasicBlocks() {
		last := other.LastInstruction()
		for i := 0; !last.IsNil() && i < last.OperandsCount(); i++ {
			if operand := last.Operand(i); operand.IsBasicBlock() && operand.AsBasicBlock() == block {
				edges++
			}
		}
	}
	return edges
}

// sharesPhi is true where merging would need care that no such chain needed
// yet: a common target that tells the two apart, or a value both switches have.
func sharesPhi(upper, lower llvm.Value) bool {
	above := map[llvm.BasicBlock]bool{}
	for _, block := range targets(upper) {
		above[block] = true
	}
	for _, block := range targets(lower) {
		if above[block] && !block.FirstInstruction().IsAPHINode().IsNil() {
			return true
		}
	}
	values := map[llvm.Value]bool{}
	for i := 2; i < upper.OperandsCount(); i += 2 {
		values[upper.Operand(i)] = true
	}
	for i := 2; i < lower.OperandsCount(); i += 2 {
		if values[lower.Operand(i)] {
			return true
		}
	}
	return false
}

// merge moves the cases of lower into upper and deletes lower's block.
func (m *merger) merge(upper, lower llvm.Value, block, below llvm.BasicBlock) {
	seen := map[llvm.BasicBlock]bool{}
	for _, target := range targets(lower) {
		if !seen[target] {
			seen[target] = true
			m.renamePhis(target, below, block)
		}
	}
	for i := 2; i < lower.OperandsCount(); i += 2 {
		upper.AddCase(lower.Operand(i), lower.Operand(i+1).AsBasicBlock())
	}
	upper.SetOperand(1, lower.Operand(1))
	lower.EraseFromParentAsInstruction()
	below.EraseFromParent()
}

// renamePhis makes every phi of target expect its value from another block. A
// phi's blocks cannot be changed in place, so each is made anew.
func (m *merger) renamePhis(target, from, to llvm.BasicBlock) {
	for phi := target.FirstInstruction(); !phi.IsAPHINode().IsNil(); {
		next := llvm.NextInstruction(phi)
		var values []llvm.Value
		var blocks []llvm.BasicBlock
		renamed := false
		for i := range phi.IncomingCount() {
			incoming := phi.IncomingBlock(i)
			if incoming == from {
				incoming, renamed = to, true
			}
			values, blocks = append(values, phi.IncomingValue(i)), append(blocks, incoming)
		}
		if renamed {
			m.builder.SetInsertPointBefore(phi)
			fresh := m.builder.CreatePHI(phi.Type(), phi.Name())
			for i := range values {
				if values[i] == phi {
					values[i] = fresh
				}
			}
			fresh.AddIncoming(values, blocks)
			phi.ReplaceAllUsesWith(fresh)
			phi.EraseFromParentAsInstruction()
		}
		phi = next
	}
}
