package asm

// Alu is one of the eight two-operand operations of the first opcode rows.
type Alu byte

// The operations.
const (
	ADD Alu = iota
	OR
	ADC
	SBB
	AND
	SUB
	XOR
	CMP
)

// Cond is a condition code.
type Cond byte

// Condition codes.
const (
	O Cond = iota
	NO
	B
	AE
	E
	NE
	BE
	A
	S
	NS
	P
	NP
	L
	GE
	LE
	G
)

func wide(op byte, size int) []byte {
	if size == 1 {
		return []byte{op}
	}
	return []byte{op | 1}
}

// Op emits op dst, src on registers.
func (a *Asm) Op(op Alu, size int, dst, src Reg) { a.RR(size, wide(byte(op)<<3, size), src, dst) }

// OpLoad emits op dst, [m].
func (a *Asm) OpLoad(op Alu, size int, dst Reg, m Mem) { a.RM(size, wide(byte(op)<<3|2, size), dst, m) }

// OpStore emits op [m], src.
func (a *Asm) OpStore(op Alu, size int, m Mem, src Reg) { a.RM(size, wide(byte(op)<<3, size), src, m) }

// OpI emits op dst, imm.
func (a *Asm) OpI(op Alu, size int, dst Reg, v int32) {
	code, n := immediate(size, v)
	a.RR(size, []byte{code}, Reg(op), dst)
	a.imm(int64(v), n)
}

// OpMI emits op [m], imm.
func (a *Asm) OpMI(op Alu, size int, m Mem, v int32) {
	code, n := immediate(size, v)
	a.RM(size, []byte{code}, Reg(op), m)
	a.imm(int64(v), n)
}

func immediate(size int, v int32) (code byte, n int) {
	switch {
	case size == 1:
		return 0x80, 1
	case int32(int8(v)) == v:
		return 0x83, 1
	}
	return 0x81, min(size, 4)
}

// Mov emits mov dst, src.
func (a *Asm) Mov(size int, dst, src Reg) { a.RR(size, wide(0x88, size), src, dst) }

// Load emits mov dst, [m].
func (a *Asm) Load(size int, dst Reg, m Mem) { a.RM(size, wide(0x8a, size), dst, m) }

// Store emits mov [m], src.
func (a *Asm) Store(size int, m Mem, src Reg) { a.RM(size, wide(0x88, size), src, m) }

// MovI emits mov dst, imm in the shortest form that gives the 64-bit value v (in 32-bit code: its low half).
func (a *Asm) MovI(dst Reg, v uint64) {
	if v>>32 == 0 || a.Bits != 64 {
		a.prefix(4, none, none, dst, false)
		a.Raw(0xb8 | byte(dst&7))
		a.imm(int64(v), 4)
		return
	}
	a.prefix(8, none, none, dst, false)
	a.Raw(0xb8 | byte(dst&7))
	a.imm(int64(v), 8)
}

// MovLabel emits mov dst, address of a label (32 bits).
func (a *Asm) MovLabel(dst Reg, label string) {
	a.MovI(dst, 0)
	a.fixups = append(a.fixups, fixup{len(a.buf) - 4, 4, label, true})
}

// Movzx8 emits movzx dst (32 bits), byte [m].
func (a *Asm) Movzx8(dst Reg, m Mem) { a.RM(4, []byte{0x0f, 0xb6}, dst, m) }

// Lea emits lea dst, [m].
func (a *Asm) Lea(size int, dst Reg, m Mem) { a.RM(size, []byte{0x8d}, dst, m) }

// Imul emits imul dst, src.
func (a *Asm) Imul(size int, dst, src Reg) { a.RR(size, []byte{0x0f, 0xaf}, dst, src) }

// Test emits test x, y.
func (a *Asm) Test(size int, x, y Reg) { a.RR(size, wide(0x84, size), y, x) }

// Inc and Dec emit the one-operand forms.
func (a *Asm) Inc(size int, r Reg) { a.RR(size, wide(0xfe, size), 0, r) }

// Dec emits dec r.
func (a *Asm) Dec(size int, r Reg) { a.RR(size, wide(0xfe, size), 1, r) }

// Shl and Shr emit shifts by an immediate.
func (a *Asm) Shl(size int, r Reg, n byte) { a.RR(size, wide(0xc0, size), 4, r); a.Raw(n) }

// Shr emits shr r, n.
func (a *Asm) Shr(size int, r Reg, n byte) { a.RR(size, wide(0xc0, size), 5, r); a.Raw(n) }

// Push and Pop move whole words.
func (a *Asm) Push(r Reg) { a.prefix(0, none, none, r, false); a.Raw(0x50 | byte(r&7)) }

// Pop emits pop r.
func (a *Asm) Pop(r Reg) { a.prefix(0, none, none, r, false); a.Raw(0x58 | byte(r&7)) }

// Jcc emits a conditional branch with a 32-bit displacement.
func (a *Asm) Jcc(c Cond, label string) { a.Raw(0x0f, 0x80|byte(c)); a.rel32(label) }

// JccShort emits one with an 8-bit displacement.
func (a *Asm) JccShort(c Cond, label string) {
	a.Raw(0x70|byte(c), 0)
	a.fixups = append(a.fixups, fixup{len(a.buf) - 1, 1, label, false})
}

// Jmp emits jmp label.
func (a *Asm) Jmp(label string) { a.Raw(0xe9); a.rel32(label) }

// Call emits call label.
func (a *Asm) Call(label string) { a.Raw(0xe8); a.rel32(label) }

func (a *Asm) rel32(label string) {
	a.Raw(0, 0, 0, 0)
	a.fixups = append(a.fixups, fixup{len(a.buf) - 4, 4, label, false})
}

// Ret emits ret.
func (a *Asm) Ret() { a.Raw(0xc3) }

// Hlt, Cli, Sti, Ud2, Vmcall, Vmmcall, Wrmsr, Rdmsr, Cpuid, Iretq emit what they are called.
func (a *Asm) Hlt()     { a.Raw(0xf4) }
func (a *Asm) Cli()     { a.Raw(0xfa) }
func (a *Asm) Sti()     { a.Raw(0xfb) }
func (a *Asm) Ud2()     { a.Raw(0x0f, 0x0b) }
func (a *Asm) Vmcall()  { a.Raw(0x0f, 0x01, 0xc1) }
func (a *Asm) Vmmcall() { a.Raw(0x0f, 0x01, 0xd9) }
func (a *Asm) Wrmsr()   { a.Raw(0x0f, 0x30) }
func (a *Asm) Rdmsr()   { a.Raw(0x0f, 0x32) }
func (a *Asm) Cpuid()   { a.Raw(0x0f, 0xa2) }
func (a *Asm) Iretq()   { a.Raw(0x48, 0xcf) }

// WriteMSR emits wrmsr of a constant, which destroys eax, ecx and edx.
func (a *Asm) WriteMSR(msr uint32, v uint64) {
	a.MovI(RCX, uint64(msr))
	a.MovI(RAX, v&0xffffffff)
	a.MovI(RDX, v>>32)
	a.Wrmsr()
}

// Out8 emits out port, al after loading both; it destroys rax and rdx.
func (a *Asm) Out8(port uint16, v byte) {
	a.MovI(RDX, uint64(port))
	a.MovI(RAX, uint64(v))
	a.Raw(0xee)
}

// ToCR emits mov crN, src; FromCR the other way.
func (a *Asm) ToCR(n byte, src Reg) { a.Raw(0x0f, 0x22, 0xc0|n<<3|byte(src&7)) }

// FromCR emits mov dst, crN.
func (a *Asm) FromCR(dst Reg, n byte) { a.Raw(0x0f, 0x20, 0xc0|n<<3|byte(dst&7)) }

// FarJmp emits jmp sel:label in 32-bit code.
func (a *Asm) FarJmp(sel uint16, label string) {
	a.Raw(0xea, 0, 0, 0, 0, byte(sel), byte(sel>>8))
	a.fixups = append(a.fixups, fixup{len(a.buf) - 6, 4, label, true})
}

// Lgdt emits lgdt [m]; Lidt emits lidt [m].
func (a *Asm) Lgdt(m Mem) { a.RM(0, []byte{0x0f, 0x01}, 2, m) }

// Lidt emits lidt [m].
func (a *Asm) Lidt(m Mem) { a.RM(0, []byte{0x0f, 0x01}, 3, m) }
