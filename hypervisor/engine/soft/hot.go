package soft

import "gozen/hypervisor/x86/decode"

// Dispatch codes. codeGeneric calls the handler of the operation; the others are instructions that the loop in
// run.go executes itself. A name reads: operation, operands (R register, M memory, I immediate), size in bits.
const (
	codeGeneric = iota
	codeResync  // the bytes changed: look the block up again
	codeNop
	codeMovRR64
	codeMovRR32
	codeMovRI64
	codeMovRI32
	codeLoad64
	codeLoad32
	codeStore64
	codeStore32
	codeStore16
	codeStore8
	codeStoreI64
	codeStoreI32
	codeStoreI8
	codeMovzx8RR
	codeMovzx16RR
	codeMovzx8RM
	codeMovzx16RM
	codeMovsxdRR
	codeMovsxdRM
	codeLoad8
	codeLea64
	codeLea32
	codeAddRR64
	codeAddRR32
	codeAddRI64
	codeAddRI32
	codeAddRM64
	codeAddRM32
	codeSubRR64
	codeSubRR32
	codeSubRI64
	codeSubRI32
	codeSubRM64
	codeSubRM32
	codeAndRR64
	codeAndRR32
	codeAndRI64
	codeAndRI32
	codeAndRM64
	codeAndRM32
	codeOrRR64
	codeOrRR32
	codeOrRI64
	codeOrRI32
	codeOrRM64
	codeOrRM32
	codeXorRR64
	codeXorRR32
	codeXorRI64
	codeXorRI32
	codeXorRM64
	codeXorRM32
	codeCmpRR64
	codeCmpRR32
	codeCmpRR8
	codeCmpRI64
	codeCmpRI32
	codeCmpRI8
	codeCmpRM64
	codeCmpRM32
	codeCmpMR64
	codeCmpMR32
	codeCmpMI64
	codeCmpMI32
	codeCmpMI8
	codeTestRR64
	codeTestRR32
	codeTestRR8
	codeTestRI32
	codeTestRI8
	codeTestMI8
	codeAddMR64
	codeAddMI64
	codeAddMI32
	codeAdcRR64
	codeAdcRI64
	codeAdcRM64
	codeSbbRR64
	codeMul64
	codeImul64
	codeImul32
	codeInc64
	codeInc32
	codeDec64
	codeDec32
	codeNeg64
	codeNot64
	codeShl64
	codeShl32
	codeShr64
	codeShr32
	codeSar64
	codeSar32
	codeRol32
	codeRor32
	codePush64
	codePop64
	codePushI64
	codeCmovRR64
	codeCmovRR32
	codeSetccR
	codeJcc
	codeJmp
	codeCall
	codeRet
	codeJmpR
	codeCallR
	codeCmpRRJcc64
	codeCmpRRJcc32
	codeCmpRIJcc64
	codeCmpRIJcc32
	codeTestRRJcc64
	codeTestRRJcc32
	// Of 32-bit code.
	codePush32
	codePushI32
	codePop32
	codeCall32
	codeRet32
	codeJmpR32
	codeCallR32
	codeAddMR32
	codeAdcRR32
	codeAdcRI32
	codeAdcRM32
	codeSbbRR32
	codeMul32
)

// pair is a dispatch code in its 64- and its 32-bit form; 0 means none.
type pair [2]uint16

func (p pair) of(size uint8) uint16 {
	switch size {
	case 8:
		return p[0]
	case 4:
		return p[1]
	}
	return codeGeneric
}

// aluCodes lists the dispatch codes of the ALU operations by form.
type aluCodes struct{ rr, ri, rm pair }

var aluTable = map[decode.Op]aluCodes{
	decode.ADD:  {pair{codeAddRR64, codeAddRR32}, pair{codeAddRI64, codeAddRI32}, pair{codeAddRM64, codeAddRM32}},
	decode.SUB:  {pair{codeSubRR64, codeSubRR32}, pair{codeSubRI64, codeSubRI32}, pair{codeSubRM64, codeSubRM32}},
	decode.AND:  {pair{codeAndRR64, codeAndRR32}, pair{codeAndRI64, codeAndRI32}, pair{codeAndRM64, codeAndRM32}},
	decode.OR:   {pair{codeOrRR64, codeOrRR32}, pair{codeOrRI64, codeOrRI32}, pair{codeOrRM64, codeOrRM32}},
	decode.XOR:  {pair{codeXorRR64, codeXorRR32}, pair{codeXorRI64, codeXorRI32}, pair{codeXorRM64, codeXorRM32}},
	decode.CMP:  {pair{codeCmpRR64, codeCmpRR32}, pair{codeCmpRI64, codeCmpRI32}, pair{codeCmpRM64, codeCmpRM32}},
	decode.TEST: {pair{codeTestRR64, codeTestRR32}, pair{0, codeTestRI32}, pair{}},
	decode.ADC:  {pair{codeAdcRR64, codeAdcRR32}, pair{codeAdcRI64, codeAdcRI32}, pair{codeAdcRM64, codeAdcRM32}},
	decode.SBB:  {pair{codeSbbRR64, codeSbbRR32}, pair{}, pair{}},
}

// prepare folds the RIP-relative base and picks the dispatch code. Codes with a memory operand are for the mode's own size of addresses, 64 or 32 bits: they
// do no segment checks (see updateMode for 32-bit code). Those with a branch are for code segments without end.
func (c *CPU) prepare(in *decode.Inst) {
	if in.Base == decode.RIPReg {
		d := int64(in.Disp) + int64(in.Off) + int64(in.Len)
		if int64(int32(d)) == d && in.ASize == 8 {
			in.Disp = int32(d)
		} else {
			in.Base = regRIPFar
			return
		}
	}
	// A single instruction is executed by its handler: the operands must stay where the handler looks for them.
	if in.Flags&decode.FlagLock != 0 || c.single {
		return
	}
	if in.Flags&decode.FlagMem == 0 {
		in.Code = c.registerCode(in)
		return
	}
	switch {
	case c.mode == decode.Mode64 && in.ASize == 8:
		in.Code = memoryCode(in)
	case c.mode == decode.Mode32 && in.ASize == 4:
		in.Code = memoryCode(in)
		lift(in)
	}
}

func (c *CPU) registerCode(in *decode.Inst) uint16 {
	if c.mode == decode.Mode64 {
		switch in.Op {
		case decode.JCC:
			return codeJcc
		case decode.JMP:
			return codeJmp
		case decode.CALL:
			return codeCall
		case decode.RET:
			return codeRet
		case decode.JMPI:
			return codeJmpR
		case decode.CALLI:
			return codeCallR
		case decode.PUSH:
			if in.Size == 8 {
				if in.Form == decode.FormI {
					return codePushI64
				}
				return codePush64
			}
		case decode.POP:
			if in.Size == 8 {
				return codePop64
			}
		}
	}
	if c.mode == decode.Mode32 && in.Size == 4 {
		if code := c.code32(in); code != codeGeneric {
			return code
		}
	}
	if a, ok := aluTable[in.Op]; ok {
		return aluRegister(in, a)
	}
	switch in.Op {
	case decode.NOP:
		return codeNop
	case decode.MOV:
		switch in.Form {
		case decode.FormRM_R, decode.FormR_RM:
			if in.Form == decode.FormRM_R {
				in.Reg, in.RM = in.RM, in.Reg // destination in Reg, source in RM
			}
			if code := (pair{codeMovRR64, codeMovRR32}).of(in.Size); code != 0 {
				return code
			}
			if in.Form == decode.FormRM_R {
				in.Reg, in.RM = in.RM, in.Reg
			}
		case decode.FormO_I, decode.FormRM_I:
			return pair{codeMovRI64, codeMovRI32}.of(in.Size)
		}
	case decode.MOVZX8:
		if in.RM < decode.High8 && in.Size >= 4 {
			return codeMovzx8RR
		}
	case decode.MOVZX16:
		if in.Size >= 4 {
			return codeMovzx16RR
		}
	case decode.MOVSXD:
		if in.Size == 8 {
			return codeMovsxdRR
		}
	case decode.INC:
		return pair{codeInc64, codeInc32}.of(in.Size)
	case decode.DEC:
		return pair{codeDec64, codeDec32}.of(in.Size)
	case decode.NEG:
		return pair{codeNeg64, 0}.of(in.Size)
	case decode.NOT:
		return pair{codeNot64, 0}.of(in.Size)
	case decode.MUL:
		return pair{codeMul64, codeMul32}.of(in.Size)
	case decode.IMUL:
		if in.Form == decode.FormR_RM {
			return pair{codeImul64, codeImul32}.of(in.Size)
		}
	case decode.CMOV:
		return pair{codeCmovRR64, codeCmovRR32}.of(in.Size)
	case decode.SETCC:
		if in.RM < decode.High8 {
			return codeSetccR
		}
	case decode.SHL, decode.SHR, decode.SAR, decode.ROL, decode.ROR:
		return shiftCode(in)
	}
	return codeGeneric
}

// aluRegister picks the code of an ALU instruction on registers. Destination goes to Reg, source to RM.
func aluRegister(in *decode.Inst, a aluCodes) uint16 {
	if in.Form == decode.FormRM_I {
		if in.Size == 1 && in.RM < decode.High8 {
			switch in.Op {
			case decode.CMP:
				return codeCmpRI8
			case decode.TEST:
				return codeTestRI8
			}
		}
		return a.ri.of(in.Size)
	}
	code := a.rr.of(in.Size)
	if in.Size == 1 && in.RM < decode.High8 && in.Reg < decode.High8 {
		switch in.Op {
		case decode.CMP:
			code = codeCmpRR8
		case decode.TEST:
			code = codeTestRR8
		}
	}
	if code != codeGeneric && in.Form == decode.FormRM_R {
		in.Reg, in.RM = in.RM, in.Reg
	}
	return code
}

func shiftCode(in *decode.Inst) uint16 {
	n := in.Imm & 31
	if in.Size == 8 {
		n = in.Imm & 63
	}
	switch in.Form {
	case decode.FormRM_1:
		n = 1
	case decode.FormRM_I:
	default:
		return codeGeneric
	}
	if n == 0 {
		return codeGeneric
	}
	p := map[decode.Op]pair{
		decode.SHL: {codeShl64, codeShl32}, decode.SHR: {codeShr64, codeShr32}, decode.SAR: {codeSar64, codeSar32},
		decode.ROL: {0, codeRol32}, decode.ROR: {0, codeRor32},
	}[in.Op]
	code := p.of(in.Size)
	if code != codeGeneric {
		in.Imm = n
	}
	return code
}

func memoryCode(in *decode.Inst) uint16 {
	load := in.Form == decode.FormR_RM
	switch in.Op {
	case decode.MOV:
		switch in.Form {
		case decode.FormR_RM:
			if in.Size == 1 && in.Reg < decode.High8 {
				return codeLoad8
			}
			return pair{codeLoad64, codeLoad32}.of(in.Size)
		case decode.FormRM_R:
			switch {
			case in.Size == 1 && in.Reg < decode.High8:
				return codeStore8
			case in.Size == 2:
				return codeStore16
			}
			return pair{codeStore64, codeStore32}.of(in.Size)
		case decode.FormRM_I:
			if in.Size == 1 {
				return codeStoreI8
			}
			return pair{codeStoreI64, codeStoreI32}.of(in.Size)
		}
	case decode.LEA:
		return pair{codeLea64, codeLea32}.of(in.Size)
	case decode.MOVZX8:
		if in.Size >= 4 {
			return codeMovzx8RM
		}
	case decode.MOVZX16:
		if in.Size >= 4 {
			return codeMovzx16RM
		}
	case decode.MOVSXD:
		if in.Size == 8 {
			return codeMovsxdRM
		}
	case decode.CMP:
		switch in.Form {
		case decode.FormRM_R:
			return pair{codeCmpMR64, codeCmpMR32}.of(in.Size)
		case decode.FormRM_I:
			if in.Size == 1 {
				return codeCmpMI8
			}
			return pair{codeCmpMI64, codeCmpMI32}.of(in.Size)
		}
		return pair{codeCmpRM64, codeCmpRM32}.of(in.Size)
	case decode.TEST:
		if in.Form == decode.FormRM_I && in.Size == 1 {
			return codeTestMI8
		}
		return codeGeneric
	case decode.ADD:
		switch in.Form {
		case decode.FormRM_R:
			return pair{codeAddMR64, codeAddMR32}.of(in.Size)
		case decode.FormRM_I:
			return pair{codeAddMI64, codeAddMI32}.of(in.Size)
		}
	case decode.NOP:
		return codeNop
	}
	if a, ok := aluTable[in.Op]; ok && load {
		return a.rm.of(in.Size)
	}
	return codeGeneric
}

// fuse joins a comparison with the conditional branch behind it, which ends the block. The comparison keeps its place; the
// branch is executed with it and stays in the block for its offset.
func (c *CPU) fuse(ins []decode.Inst) []decode.Inst {
	n := len(ins)
	if n < 2 || ins[n-1].Code != codeJcc {
		return ins
	}
	p := &ins[n-2]
	switch p.Code {
	case codeCmpRR64:
		p.Code = codeCmpRRJcc64
	case codeCmpRR32:
		p.Code = codeCmpRRJcc32
	case codeCmpRI64:
		p.Code = codeCmpRIJcc64
	case codeCmpRI32:
		p.Code = codeCmpRIJcc32
	case codeTestRR64:
		p.Code = codeTestRRJcc64
	case codeTestRR32:
		p.Code = codeTestRRJcc32
	}
	return ins
}
