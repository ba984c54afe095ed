package soft

import (
	"unsafe"

	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// The hot instructions of 32-bit code add a segment's base and check nothing. That is right for a segment of writable data without end, which a flat
// kernel and its programs have; the base of any other, and of a stack segment with a 16-bit pointer, is replaced by checked: an address that no TLB entry
// has, so that the access comes to loadSlow or storeSlow, which have the instruction executed by its handler.
const (
	checked  = 1 << 40
	flatMask = x86.AttrUnusable | x86.AttrP | x86.AttrS | typeCode | typeConforming | typeRW // bit 2 is expand-down, of data
	flatData = x86.AttrP | x86.AttrS | typeRW
)

// far deals with the address of a hot access of 32-bit code that is beyond 4 GiB. It gives the address to use instead, or false: the segment is to be
// checked. Sums of registers, displacement and base lie between -1<<31 and 1<<37, unless 64-bit code has left something in the upper halves of the registers.
func (c *CPU) far(lin uint64) (uint64, bool) {
	if sum := int64(lin); sum < -1<<31 || sum >= 1<<38 {
		c.stop = stopChecked
		return 0, false
	}
	return lin & 0xffffffff, true
}

// lift makes the address of 32-bit code, which is computed with 64 bits, stay below 4 GiB in the common case that the displacement is an address of a
// kernel: it is sign-extended, and gets 4 GiB more from a register. Handlers cut the sum to 32 bits anyway.
func lift(in *decode.Inst) {
	switch {
	case in.Disp >= 0:
	case in.Base == regZero:
		in.Base = reg4G
	case in.Index == regZero && in.Disp < -farBack:
		in.Index, in.Scale = reg4G, 0
	}
}

// farBack is how far behind a register a structure may begin.
const farBack = 64 << 20

// code32 picks the code of a branch or a stack instruction of 32-bit code.
func (c *CPU) code32(in *decode.Inst) uint16 {
	switch in.Op {
	case decode.PUSH:
		if in.Form == decode.FormI {
			return codePushI32
		}
		return codePush32
	case decode.POP:
		return codePop32
	}
	if !c.wide {
		return codeGeneric
	}
	switch in.Op {
	case decode.JCC:
		return codeJcc
	case decode.JMP:
		return codeJmp
	case decode.CALL:
		return codeCall32
	case decode.RET:
		if in.Imm == 0 {
			return codeRet32
		}
	case decode.JMPI:
		return codeJmpR32
	case decode.CALLI:
		return codeCallR32
	}
	return codeGeneric
}

// push32 is push in 32-bit code.
func (c *CPU) push32(v uint64) bool {
	sp := uint64(uint32(c.regs[x86.RSP] - 4))
	lin := sp + c.segBase[x86.SS]
	e := &c.dtlb.e[lin>>12&(tlbSize-1)]
	if (lin+3)&^pageMask != e.w {
		return c.push(v&0xffffffff, 4)
	}
	*(*uint32)(unsafe.Add(e.page, lin&pageMask)) = uint32(v)
	c.regs[x86.RSP] = sp
	return true
}

// pop32 takes a word from the stack of 32-bit code.
func (c *CPU) pop32() (v uint64, ok bool) {
	lin := c.regs[x86.RSP] + c.segBase[x86.SS]
	e := &c.dtlb.e[lin>>12&(tlbSize-1)]
	if (lin+3)&^pageMask == e.r {
		v = uint64(*(*uint32)(unsafe.Add(e.page, lin&pageMask)))
	} else if v, ok = c.peekStack(0, 4); !ok {
		return 0, false
	}
	c.setSP(c.regs[x86.RSP] + 4)
	return v, true
}

// adc32 adds with carry, in 32 bits.
func (c *CPU) adc32(a, b uint64) uint64 {
	a, b = uint64(uint32(a)), uint64(uint32(b))
	sum := a + b + c.cf()
	c.ccB = sum>>32 | (a^b^sum)&x86.FlagAF | (a^sum)&(b^sum)>>31&1<<11
	c.ccA, c.ccOp = sum<<32, ccRes|cc32
	return uint64(uint32(sum))
}
