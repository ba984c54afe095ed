package fuzz

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

const (
	fCF    = x86.FlagCF
	fPF    = x86.FlagPF
	fAF    = x86.FlagAF
	fZF    = x86.FlagZF
	fSF    = x86.FlagSF
	fOF    = x86.FlagOF
	fArith = x86.FlagsArith
)

// effect says which flags an instruction reads, certainly defines, and may leave undefined (SDM 1 appendix A, and the pages of the
// instructions in SDM 2).
type effect struct{ reads, defines, undefined uint64 }

// effectOf gives the effect of a decoded instruction.
func effectOf(in *decode.Inst) effect {
	switch in.Op {
	case decode.ADD, decode.SUB, decode.CMP, decode.NEG, decode.XADD, decode.CMPXCHG, decode.POPCNT, decode.PTEST,
		decode.COMISS, decode.COMISD, decode.UCOMISS, decode.UCOMISD, decode.PCMPESTRI, decode.PCMPESTRM, decode.PCMPISTRI, decode.PCMPISTRM:
		return effect{defines: fArith}
	case decode.ADC, decode.SBB:
		return effect{reads: fCF, defines: fArith}
	case decode.AND, decode.OR, decode.XOR, decode.TEST:
		return effect{defines: fArith &^ fAF, undefined: fAF}
	case decode.INC, decode.DEC:
		return effect{defines: fArith &^ fCF}
	case decode.MUL, decode.IMUL:
		return effect{defines: fCF | fOF, undefined: fSF | fZF | fAF | fPF}
	case decode.DIV, decode.IDIV:
		return effect{undefined: fArith}
	case decode.BSF, decode.BSR:
		return effect{defines: fZF, undefined: fArith &^ fZF}
	case decode.BT, decode.BTS, decode.BTR, decode.BTC:
		return effect{defines: fCF, undefined: fArith &^ (fCF | fZF)}
	case decode.SHL, decode.SHR, decode.SAL, decode.SAR, decode.ROL, decode.ROR, decode.RCL, decode.RCR, decode.SHLD, decode.SHRD:
		return shiftEffect(in)
	case decode.CMPS, decode.SCAS:
		if in.Flags&(decode.FlagRepz|decode.FlagRepn) == 0 {
			return effect{defines: fArith}
		}
	case decode.CMPXCHG8B, decode.CMPXCHG16B:
		return effect{defines: fZF}
	case decode.JCC, decode.SETCC, decode.CMOV:
		return effect{reads: conditionFlags(in.Opcode)}
	case decode.LOOPE, decode.LOOPNE:
		return effect{reads: fZF}
	case decode.CLC, decode.STC:
		return effect{defines: fCF}
	case decode.CMC:
		return effect{reads: fCF, defines: fCF}
	case decode.LAHF:
		return effect{reads: fArith &^ fOF}
	case decode.SAHF:
		return effect{defines: fArith &^ fOF}
	case decode.PUSHF:
		return effect{reads: fArith}
	case decode.POPF, decode.IRET:
		return effect{defines: fArith}
	case decode.X87:
		return x87Effect(in)
	}
	return effect{}
}

// conditionFlags gives the flags that condition code cc looks at.
func conditionFlags(cc uint8) uint64 {
	return [8]uint64{fOF, fCF, fZF, fCF | fZF, fSF, fPF, fSF | fOF, fZF | fSF | fOF}[cc>>1&7]
}

// shiftEffect: a count of zero changes nothing, so a count in CL defines nothing for certain.
func shiftEffect(in *decode.Inst) effect {
	n, known := 1, true
	switch in.Form {
	case decode.FormRM_I, decode.FormRM_R_I:
		mask := 31
		if in.Size == 8 {
			mask = 63
		}
		n = int(in.Imm) & mask
	case decode.FormRM_CL, decode.FormRM_RCL:
		known = false
	}
	var e effect
	switch in.Op {
	case decode.RCL, decode.RCR:
		e.reads = fCF
		fallthrough
	case decode.ROL, decode.ROR:
		if known && n == 0 {
			return effect{reads: e.reads}
		}
		e.defines, e.undefined = fCF, fOF
		if known && n == 1 {
			e.defines, e.undefined = fCF|fOF, 0
		}
	default:
		if known && n == 0 {
			return effect{}
		}
		e.defines, e.undefined = fArith&^(fAF|fOF), fAF|fOF
		if known && n == 1 {
			e.defines, e.undefined = e.defines|fOF, fAF
		}
		if !known || n >= 8*int(in.Size) {
			e.undefined |= fCF
			e.defines &^= fCF
		}
		if (in.Op == decode.SHLD || in.Op == decode.SHRD) && (!known || n > 8*int(in.Size)) {
			e.undefined, e.defines = fArith, 0
		}
	}
	if !known {
		e.defines = 0
	}
	return e
}

// x87Effect covers FCMOVcc and FCOMI and their like.
func x87Effect(in *decode.Inst) effect {
	if in.Flags&decode.FlagMem != 0 {
		return effect{}
	}
	reg := in.ModRM >> 3 & 7
	switch {
	case (in.Opcode == 0xda || in.Opcode == 0xdb) && reg < 4:
		return effect{reads: fCF | fZF | fPF}
	case (in.Opcode == 0xdb || in.Opcode == 0xdf) && (reg == 5 || reg == 6):
		return effect{defines: fCF | fZF | fPF, undefined: 0}
	}
	return effect{}
}
