// Numbers of operations: those of the binary format, which slots keep for
// arithmetic, and behind them those that exist in slots only.

package wasm

const (
	opUnreachable  = 0x00
	opNop          = 0x01
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBranch       = 0x0c
	opBranchIf     = 0x0d
	opBranchTable  = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opSelect       = 0x1b
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opLoadFirst    = 0x28
	opStoreFirst   = 0x36
	opStoreLast    = 0x3e
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opSaturating   = 0xfc // prefix
)

const (
	i32Eqz = 0x45 + iota
	i32Eq
	i32Ne
	i32LtS
	i32LtU
	i32GtS
	i32GtU
	i32LeS
	i32LeU
	i32GeS
	i32GeU
	i64Eqz
	i64Eq
	i64Ne
	i64LtS
	i64LtU
	i64GtS
	i64GtU
	i64LeS
	i64LeU
	i64GeS
	i64GeU
	f32Eq
	f32Ne
	f32Lt
	f32Gt
	f32Le
	f32Ge
	f64Eq
	f64Ne
	f64Lt
	f64Gt
	f64Le
	f64Ge
	i32Clz
	i32Ctz
	i32Popcnt
	i32Add
	i32Sub
	i32Mul
	i32DivS
	i32DivU
	i32RemS
	i32RemU
	i32And
	i32Or
	i32Xor
	i32Shl
	i32ShrS
	i32ShrU
	i32Rotl
	i32Rotr
	i64Clz
	i64Ctz
	i64Popcnt
	i64Add
	i64Sub
	i64Mul
	i64DivS
	i64DivU
	i64RemS
	i64RemU
	i64And
	i64Or
	i64Xor
	i64Shl
	i64ShrS
	i64ShrU
	i64Rotl
	i64Rotr
	f32Abs
	f32Neg
	f32Ceil
	f32Floor
	f32Trunc
	f32Nearest
	f32Sqrt
	f32Add
	f32Sub
	f32Mul
	f32Div
	f32Min
	f32Max
	f32Copysign
	f64Abs
	f64Neg
	f64Ceil
	f64Floor
	f64Trunc
	f64Nearest
	f64Sqrt
	f64Add
	f64Sub
	f64Mul
	f64Div
	f64Min
	f64Max
	f64Copysign
	i32WrapI64
	i32TruncF32S
	i32TruncF32U
	i32TruncF64S
	i32TruncF64U
	i64ExtendI32S
	i64ExtendI32U
	i64TruncF32S
	i64TruncF32U
	i64TruncF64S
	i64TruncF64U
	f32ConvertI32S
	f32ConvertI32U
	f32ConvertI64S
	f32ConvertI64U
	f32DemoteF64
	f64ConvertI32S
	f64ConvertI32U
	f64ConvertI64S
	f64ConvertI64U
	f64PromoteF32
	i32ReinterpretF32
	i64ReinterpretF64
	f32ReinterpretI32
	f64ReinterpretI64
	i32Extend8S
	i32Extend16S
	i64Extend8S
	i64Extend16S
	i64Extend32S
	saturateFirst // the eight of the prefix, in the order of the truncations above
)

// Operations of slots. The families in the order of the binary format's: with
// a constant on the right (K), and branches taken when a comparison holds.
const (
	opCompareK      = saturateFirst + 8  // i32Eq .. i32GeU
	opJump32        = opCompareK + 10    // two registers
	opJump32K       = opJump32 + 10      // a register and a constant
	opJump64        = opJump32K + 10     // i64Eq .. i64GeU
	opArithmeticK   = opJump64 + 10      // i32Add .. i32ShrU
	opArithmetic64K = opArithmeticK + 13 // i64Add .. i64ShrU
	opMove          = opArithmetic64K + 13 + iota - 6
	opConstant
	opJump     // always
	opMoveJump // b = a, then always
	opJumpIf
	opJumpUnless
	opJumpTable // the slots behind it are the entries
	opReturnValue
	opReturnNothing
	opLoad32
	opLoad64
	opLoad8S32
	opLoad8U
	opLoad16S32
	opLoad16U
	opLoad8S64
	opLoad16S64
	opLoad32S64
	opStore8
	opStore16
	opStore32
	opStore64
)

// slot is one instruction: c = a operation b, the letters being registers of
// the frame. Jumps hold their target in the low half of extra, a constant to
// compare with in the high half.
type slot struct {
	operation uint16
	a, b, c   uint16
	extra     uint64
}

// numeric operations of one type: from first to last, so many operands of a
// kind, and the kind of the result.
type numericRange struct{ first, last, operands, kind, result byte }

var numericRanges = [...]numericRange{
	{i32Eqz, i32Eqz, 1, I32, I32}, {i32Eq, i32GeU, 2, I32, I32},
	{i64Eqz, i64Eqz, 1, I64, I32}, {i64Eq, i64GeU, 2, I64, I32},
	{f32Eq, f32Ge, 2, F32, I32}, {f64Eq, f64Ge, 2, F64, I32},
	{i32Clz, i32Popcnt, 1, I32, I32}, {i32Add, i32Rotr, 2, I32, I32},
	{i64Clz, i64Popcnt, 1, I64, I64}, {i64Add, i64Rotr, 2, I64, I64},
	{f32Abs, f32Sqrt, 1, F32, F32}, {f32Add, f32Copysign, 2, F32, F32},
	{f64Abs, f64Sqrt, 1, F64, F64}, {f64Add, f64Copysign, 2, F64, F64},
	{i32WrapI64, i32WrapI64, 1, I64, I32},
	{i32TruncF32S, i32TruncF32U, 1, F32, I32}, {i32TruncF64S, i32TruncF64U, 1, F64, I32},
	{i64ExtendI32S, i64ExtendI32U, 1, I32, I64},
	{i64TruncF32S, i64TruncF32U, 1, F32, I64}, {i64TruncF64S, i64TruncF64U, 1, F64, I64},
	{f32ConvertI32S, f32ConvertI32U, 1, I32, F32}, {f32ConvertI64S, f32ConvertI64U, 1, I64, F32},
	{f32DemoteF64, f32DemoteF64, 1, F64, F32},
	{f64ConvertI32S, f64ConvertI32U, 1, I32, F64}, {f64ConvertI64S, f64ConvertI64U, 1, I64, F64},
	{f64PromoteF32, f64PromoteF32, 1, F32, F64},
	{i32ReinterpretF32, i32ReinterpretF32, 1, F32, I32}, {i64ReinterpretF64, i64ReinterpretF64, 1, F64, I64},
	{f32ReinterpretI32, f32ReinterpretI32, 1, I32, F32}, {f64ReinterpretI64, f64ReinterpretI64, 1, I64, F64},
	{i32Extend8S, i32Extend16S, 1, I32, I32}, {i64Extend8S, i64Extend32S, 1, I64, I64},
	{saturateFirst, saturateFirst + 1, 1, F32, I32}, {saturateFirst + 2, saturateFirst + 3, 1, F64, I32},
	{saturateFirst + 4, saturateFirst + 5, 1, F32, I64}, {saturateFirst + 6, saturateFirst + 7, 1, F64, I64},
}

// access describes a load or store: the type it moves, log2 of its bytes, and
// the slot that does it.
type access struct {
	kind, align byte
	operation   uint16
}

var accesses = [...]access{
	{I32, 2, opLoad32}, {I64, 3, opLoad64}, {F32, 2, opLoad32}, {F64, 3, opLoad64},
	{I32, 0, opLoad8S32}, {I32, 0, opLoad8U}, {I32, 1, opLoad16S32}, {I32, 1, opLoad16U},
	{I64, 0, opLoad8S64}, {I64, 0, opLoad8U}, {I64, 1, opLoad16S64}, {I64, 1, opLoad16U},
	{I64, 2, opLoad32S64}, {I64, 2, opLoad32},
	{I32, 2, opStore32}, {I64, 3, opStore64}, {F32, 2, opStore32}, {F64, 3, opStore64},
	{I32, 0, opStore8}, {I32, 1, opStore16}, {I64, 0, opStore8}, {I64, 1, opStore16}, {I64, 2, opStore32},
}
