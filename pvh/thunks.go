package pvh

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/image"
)

// A Linux kernel without a hypercall page has two functions of one instruction each, one for each vendor, and calls the one that fits:
// VMMCALL or VMCALL, then a return. A host that keeps these instructions for itself never hands them over, so they become an OUT, which it
// does. The opcodes alone occur dozens of times by chance; two whole functions behind one another that leave to the same place do not.
const (
	vmmcall  = 0xd9010f
	vmcall   = 0xc1010f
	endbr64  = 0xfa1e0ff3
	retNear  = 0xc3
	jmpNear  = 0xe9
	fnAlign  = 16
	fnLength = 16 // at most: ENDBR64, the call, JMP rel32
)

// Thunks are the addresses of the instructions in the two functions.
type Thunks struct{ VMMCALL, VMCALL guestmem.GPA }

// packed is the pair as 32-bit kernels have it: functions are not aligned there, and return by RET.
var packed = []byte{0x0f, 0x01, 0xd9, 0xc3, 0x0f, 0x01, 0xc1, 0xc3}

// FindThunks looks for the pair of functions in a kernel that has been loaded. ok is false where there is none.
func FindThunks(mem *guestmem.Memory, k *image.Kernel) (t Thunks, ok bool) {
	for _, s := range k.Segments {
		if !s.Exec {
			continue
		}
		for a := s.Phys &^ (guestmem.PageSize - 1); a < s.Phys+guestmem.GPA(s.FileSize); a += guestmem.PageSize {
			p := mem.HostPage(a.GFN())
			if p == nil {
				continue
			}
			for off := 0; off < len(p); off += fnAlign {
				w := binary.LittleEndian.Uint32(p[off:])
				if w == endbr64 {
					w = binary.LittleEndian.Uint32(p[off+4:])
				}
				if w&0xffffff != vmmcall {
					continue
				}
				if t, ok := thunkPair(mem, a+guestmem.GPA(off)); ok {
					return t, true
				}
			}
		}
	}
	return findPacked(mem, k)
}

// findPacked looks for the packed form, of which there must be one.
func findPacked(mem *guestmem.Memory, k *image.Kernel) (t Thunks, ok bool) {
	const second = 4 // in packed
	n := 0
	var page [guestmem.PageSize + 7]byte // and what of packed may lie in the next one
	for _, s := range k.Segments {
		if !s.Exec {
			continue
		}
		end := s.Phys + guestmem.GPA(s.FileSize)
		for a := s.Phys; a < end; a += guestmem.PageSize {
			b := page[:min(len(page), int(end-a))]
			if mem.Read(a, b) != nil {
				continue
			}
			if i := bytes.Index(b, packed); i >= 0 {
				n += bytes.Count(b, packed)
				t = Thunks{a + guestmem.GPA(i), a + guestmem.GPA(i) + second}
			}
		}
	}
	return t, n == 1
}

// thunkPair checks the function at a and its twin for the other vendor, one or two lines of 16 bytes behind.
func thunkPair(mem *guestmem.Memory, a guestmem.GPA) (Thunks, bool) {
	at, to, ok := thunk(mem, a, vmmcall)
	if !ok {
		return Thunks{}, false
	}
	for _, d := range []guestmem.GPA{fnAlign, 2 * fnAlign} {
		if at2, to2, ok := thunk(mem, a+d, vmcall); ok && to == to2 {
			return Thunks{at, at2}, true
		}
	}
	return Thunks{}, false
}

// thunk gives the place of the instruction op in the function at a, and where the function leaves to; 0 is a plain return.
func thunk(mem *guestmem.Memory, a guestmem.GPA, op uint32) (at, to guestmem.GPA, ok bool) {
	var b [fnLength]byte
	if mem.Read(a, b[:]) != nil {
		return 0, 0, false
	}
	i := 0
	if binary.LittleEndian.Uint32(b[:]) == endbr64 {
		i = 4
	}
	if binary.LittleEndian.Uint32(b[i:])&0xffffff != op {
		return 0, 0, false
	}
	switch b[i+3] {
	case retNear:
		return a + guestmem.GPA(i), 0, true
	case jmpNear:
		rel := int32(binary.LittleEndian.Uint32(b[i+4:]))
		return a + guestmem.GPA(i), a + guestmem.GPA(i) + 8 + guestmem.GPA(int64(rel)), true
	}
	return 0, 0, false
}

// Patch makes both functions enter the hypervisor by OUT to a port.
func (t Thunks) Patch(mem *guestmem.Memory, port uint8) error {
	const outImm8, nop = 0xe6, 0x90
	for _, a := range []guestmem.GPA{t.VMMCALL, t.VMCALL} {
		if err := mem.Write(a, []byte{outImm8, port, nop}); err != nil {
			return fmt.Errorf("patch the kernel's hypercall functions: %w", err)
		}
	}
	return nil
}
