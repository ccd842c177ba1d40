package abi

// Code is the closed set of reasons that cross the C/Go seam, the control
// channel and the ledger. The kernel never makes sentences: readers do, with
// Code.String on the host.
type Code int32

// OK is zero so that cleared memory never reads as a failure that did not
// happen; every function that can fail returns a Code the caller must test.
const (
	OK Code = iota

	// Bytes from outside: frames, jobs, traces, files.
	ErrTruncated   // ends before its own length says
	ErrMagic       // does not begin with the expected magic
	ErrVersion     // made for another Version
	ErrChecksum    // checksum differs
	ErrTooLarge    // exceeds a stated bound
	ErrBadLength   // a length field contradicts another
	ErrBadValue    // a field holds a value outside its set
	ErrUnsupported // well formed, and not implemented by this kernel
	ErrBusy        // a resource is in use; nothing was changed
	ErrNoSpace     // a fixed pool is exhausted
	ErrNotFound    // names something that does not exist

	// Assembly text.
	ErrSyntax      // the line is not in the assembler's grammar
	ErrUnknownName // an unknown label, register, helper or map
	ErrRange       // an immediate or offset does not fit its field

	// Analysis: shape of the program, before any value is looked at.
	ErrEmpty         // no instructions
	ErrTooLong       // more instructions than allowed
	ErrBadOpcode     // reserved or unknown opcode, or a reserved field not zero
	ErrBadRegister   // register above r10, or a write to r10
	ErrJumpOutside   // a jump leaves the program or lands inside a wide load
	ErrBackEdge      // a loop; refused by this rule set
	ErrUnreachable   // code no path reaches
	ErrFallsThrough  // a path runs off the end without exit
	ErrCostBound     // the longest path exceeds the hook's instruction budget
	ErrStackBound    // stack use exceeds 512 bytes
	ErrUnknownHook   // no such hook
	ErrUnknownHelper // the hook does not offer this helper

	// Verification: what values may do.
	ErrUninitialised // reads a register or stack bytes never written
	ErrBadPointer    // dereferences something that is not a pointer
	ErrPointerMath   // arithmetic that the pointer's type does not allow
	ErrContextAccess // context field, size or alignment not allowed
	ErrPacketBounds  // packet access not covered by a check against data_end
	ErrStackAccess   // stack access outside the frame, or misaligned spill
	ErrMapAccess     // map value access outside the value
	ErrNullPointer   // dereference of a map value not tested for null
	ErrReadOnly      // write to memory the program may only read
	ErrLeak          // a pointer would reach the outside
	ErrReturnValue   // r0 at exit is not a scalar in the hook's range
	ErrDivideByZero  // constant division by zero
	ErrShiftRange    // constant shift at or over the width
	ErrComplexity    // the state or instruction budget was used up
	ErrHelperArg     // a helper argument has the wrong type
	ErrMisaligned    // access not aligned to its size where that is required

	// Execution.
	ErrFault         // a run-time check failed in the interpreter
	ErrStepBound     // more steps than the analysis promised
	ErrSnapTruncated // the recorded window holds too few bytes to replay
	ErrPanic         // a service panicked and was contained

	// Judgement: dry run, deploy, monitor.
	ErrNoCandidate    // the proposer had nothing to propose
	ErrWorse          // costs more than the default or the running program
	ErrNoGain         // does not beat the default by the required margin
	ErrLosesNeeded    // drops what a consumer wanted
	ErrMutates        // delivers a needed packet changed
	ErrNotDefault     // replay of the default does not match the record
	ErrErrorBudget    // the monitor counted more errors than allowed
	ErrLossBudget     // the monitor saw more wanted packets dropped than allowed
	ErrLatencyBudget  // the monitor saw the cost per event above its budget
	ErrRefused        // self-review refused
	ErrRolledBack     // superseded by a rollback
	ErrNotQuiescent   // a CPU may still be inside the previous version
	ErrDigestMismatch // the bytes are not the ones that were named

	// Plugins: shape and types of a WebAssembly module, and linking.
	ErrWasmInteger  // a LEB128 number is longer or larger than its type
	ErrWasmName     // a name is not UTF-8
	ErrWasmSection  // unknown section, out of order, or not as long as it says
	ErrWasmType     // operands or a signature have another type than asked for
	ErrWasmIndex    // names a type, function, local, label or the like that is not there
	ErrWasmConstant // an initialiser is no constant expression
	ErrWasmLimits   // limits or an alignment beyond what is allowed
	ErrWasmExport   // two exports of one name
	ErrWasmImport   // an import is missing or of another type
	ErrWasmSegment  // a segment does not fit its memory or table

	// Traps: why a plugin was stopped.
	ErrTrapUnreachable // it says itself that this cannot happen
	ErrTrapMemory      // outside its memory
	ErrTrapDivide      // integer division by zero
	ErrTrapOverflow    // a result does not fit its integer
	ErrTrapConversion  // NaN to an integer
	ErrTrapTable       // an indirect call beyond the table
	ErrTrapNull        // an indirect call of an empty element
	ErrTrapSignature   // an indirect call of another type
	ErrTrapStack       // calls nested too deep
	ErrTrapFuel        // ran longer than it may

	codeCount // keep last
)

// CodeCount bounds every valid Code from above.
const CodeCount = int32(codeCount)
