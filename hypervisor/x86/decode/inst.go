package decode

// Inst is one decoded instruction, 32 bytes, made to be executed as it stands.
type Inst struct {
	Imm  int64 // immediate, sign-extended; branch displacement; moffs address; far offset
	Disp int32 // address displacement; far selector; ENTER nesting level
	Op   Op
	// Code and Off belong to the consumer: the software CPU keeps its dispatch code and the offset from
	// the start of the block there.
	Code uint16
	Off  uint16
	Len  uint8
	Form Form
	// Size is the operand size in bytes: 1, 2, 4, 8; for SSE and x87 the size of the memory operand.
	Size  uint8
	ASize uint8 // address size in bytes: 2, 4 or 8
	Flags uint8 // Flag* bits
	// Reg and RM are register numbers: 0-15, or High8+n for AH, CH, DH, BH.
	// RM is valid if FlagMem is clear; for forms with the register in the opcode it is that register.
	Reg, RM uint8
	// Base and Index are 0-15, NoReg, or (Base) RIPReg.
	Base, Index uint8
	Scale       uint8 // shift count of the index, 0-3
	Seg         uint8 // effective segment of the memory operand
	Opcode      uint8 // last opcode byte; its low nibble is the condition of Jcc, SETcc, CMOVcc
	ModRM       uint8
}

// Flag bits of an Inst.
const (
	FlagMem  = 1 << 0 // the r/m operand is in memory
	FlagLock = 1 << 1
	FlagRepz = 1 << 2 // F3
	FlagRepn = 1 << 3 // F2
	Flag66   = 1 << 4 // operand-size prefix present
	FlagRex  = 1 << 5
	FlagRexW = 1 << 6
	FlagSeg  = 1 << 7 // segment override present
)

// Register numbers beyond 15.
const (
	NoReg  = 16 // reads as zero
	RIPReg = 17 // the address of the next instruction
	High8  = 20 // AH is 20, CH 21, DH 22, BH 23
)

// Form names the operands of an instruction and where they are encoded.
type Form uint8

// The forms. RM is a register or memory operand, R the ModRM.reg register, I an immediate, O a register in the
// opcode, A the accumulator, S a segment register, X an XMM register, P an MMX register.
const (
	FormNone   Form = iota
	FormRM          // r/m
	FormRM_R        // r/m, reg
	FormR_RM        // reg, r/m
	FormRM_I        // r/m, imm (also: accumulator, imm)
	FormRM_1        // r/m, 1
	FormRM_CL       // r/m, CL
	FormR_RM_I      // reg, r/m, imm
	FormRM_R_I      // r/m, reg, imm8
	FormRM_RCL      // r/m, reg, CL
	FormO           // opcode register, in RM
	FormO_I         // opcode register, imm
	FormI           // immediate
	FormJ           // relative branch
	FormA_M         // accumulator, moffs
	FormM_A         // moffs, accumulator
	FormFar         // ptr16:16/32
	FormI_I         // ENTER imm16, imm8
	FormS           // segment register in Reg
	FormS_RM        // sreg, r/m
	FormRM_S        // r/m, sreg
	FormC           // control or debug register in Reg, general register in RM
	FormDX          // port in DX
	FormStr         // string instruction, implicit operands
	FormX87         // x87 escape: Opcode and ModRM say which
	FormX_XM        // xmm, xmm/mem (or mm, mm/mem and mixed forms, by Op)
	FormXM_X        // xmm/mem, xmm
	FormX_XM_I      // xmm, xmm/mem, imm8
	FormXM_X_I      // xmm/mem, xmm, imm8
	FormX_I         // xmm in RM, imm8
	numForms
)

// Mode is the code segment's mode.
type Mode uint8

// The modes of a code segment (SDM 3A 2.2).
const (
	Mode16 Mode = iota
	Mode32
	Mode64
)

// Error says why bytes are not an instruction.
type Error uint8

// Decode results.
const (
	OK      Error = iota
	Invalid       // #UD
	Short         // more bytes needed than were given
	TooLong       // more than 15 bytes: #GP
)
