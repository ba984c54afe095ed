package decode

// sizeRule says how an entry's operand size follows from prefixes and mode.
type sizeRule uint8

const (
	szNone sizeRule = iota
	szB             // 1
	szW             // 2
	szD             // 4
	szQ             // 8
	szX             // 16
	szV             // 2, 4 or 8 by 66 and REX.W
	szY             // 4 or 8 by REX.W
	szV64           // as szV, but 8 by default in 64-bit mode and never 4 there
	szF64           // 8 in 64-bit mode whatever the prefixes; else as szV
	szN             // natural: 8 in 64-bit mode, else 4 (control registers)
	szFar           // far pointers in memory: szV (REX.W gives 8 on Intel)
)

// immRule says which immediate follows.
type immRule uint8

const (
	imNone immRule = iota
	imB            // 8 bits, sign-extended
	imW            // 16 bits, zero-extended
	imZ            // 16 or 32 bits by operand size, sign-extended
	imV            // as wide as the operand
)

// attr bits of an entry.
type attr uint8

const (
	aNo64    attr = 1 << iota // invalid in 64-bit mode
	aOnly64                   // invalid outside 64-bit mode
	aLock                     // LOCK allowed with a memory destination
	aMemOnly                  // register operand is #UD
	aRegOnly                  // memory operand is #UD
	aByteReg                  // RM is an 8-bit register although Size says else
	aGroup                    // sub is the group number
	aNoReal                   // #UD in real and virtual-8086 mode (the consumer checks)
)

// entry is one cell of an opcode map.
type entry struct {
	op    Op
	form  Form
	size  sizeRule
	imm   immRule
	attr  attr
	group uint8
}

func group(n uint8, form Form, size sizeRule, imm immRule) entry {
	return entry{form: form, size: size, imm: imm, attr: aGroup, group: n}
}
