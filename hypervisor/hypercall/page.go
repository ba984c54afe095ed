package hypercall

import (
	"encoding/binary"

	"gozen/hypervisor/xen"
)

// The instructions a hypercall page may enter the hypervisor with.
const (
	VMCALL  = "\x0f\x01\xc1"
	VMMCALL = "\x0f\x01\xd9"
)

const pageEntry = 32

// Page makes a hypercall page (public/arch-x86/xen.h): entry n, 32 bytes each, loads n into eax, executes insn (at most 26 bytes: vmcall, vmmcall,
// or out for a host that cannot pass those on), and returns. The entry of iret, which only PV guests have,
// traps.
func Page(insn []byte) (p [pageSize]byte) {
	if len(insn) > pageEntry-6 {
		panic("hypercall: instruction too long for a hypercall page")
	}
	for n := range pageSize / pageEntry {
		e := p[n*pageEntry : (n+1)*pageEntry]
		if n == xen.HYPERVISOR_iret {
			e[0], e[1] = 0x0f, 0x0b // ud2
			continue
		}
		e[0] = 0xb8 // mov imm32, eax
		binary.LittleEndian.PutUint32(e[1:], uint32(n))
		copy(e[5:], insn)
		e[5+len(insn)] = 0xc3 // ret
	}
	return p
}
