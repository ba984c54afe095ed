//go:build linux && amd64

package native

import (
	"encoding/binary"
	"runtime"
	"testing"
)

func jumpOut(code []byte, at int) {
	code[at] = 0xe9
	binary.LittleEndian.PutUint32(code[at+1:], uint32(ArenaExit-(ArenaCode+at+5)))
}

func TestArena_faults(t *testing.T) {
	runtime.LockOSThread()
	a, err := OpenArena()
	if err != nil {
		t.Skip(err)
	}
	tests := []struct {
		name   string
		code   []byte
		vector int
		err    uint64
		cr2    uint64
		rip    uint64
	}{
		{"add", []byte{0x48, 0x01, 0xd8}, NoFault, 0, 0, ArenaExit},
		{"ud2", []byte{0x0f, 0x0b}, 6, 0, 0, ArenaCode},
		{"int3", []byte{0xcc}, 3, 0, 0, ArenaCode + 1},
		{"hlt", []byte{0xf4}, 13, 0, 0, ArenaCode},
		{"div", []byte{0x31, 0xc9, 0xf7, 0xf1}, 0, 0, 0, ArenaCode + 2},
		{"read guard", []byte{0x8b, 0x06}, 14, 4, ArenaData - 4, ArenaCode},
		{"write read-only", []byte{0x89, 0x07}, 14, 7, ArenaReadOnly, ArenaCode},
		{"fetch data", []byte{0xff, 0xe7}, 14, 0x15, ArenaReadOnly, ArenaReadOnly},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			n := copy(a.Code(), tc.code)
			jumpOut(a.Code(), n)
			var c Context
			c.RIP = ArenaCode
			c.GPR[0], c.GPR[3], c.GPR[6], c.GPR[7] = 1, 2, ArenaData-4, ArenaReadOnly
			binary.LittleEndian.PutUint16(c.FX[0:], 0x37f)
			binary.LittleEndian.PutUint32(c.FX[24:], 0x1f80)
			c.FX[160] = 0x77
			c.GS = ArenaData
			a.Run(&c)
			if c.Vector != tc.vector || c.Error != tc.err || c.Vector == 14 && c.CR2 != tc.cr2 || c.RIP != tc.rip {
				t.Errorf("vector %d error %#x cr2 %#x rip %#x, want %d %#x %#x %#x", c.Vector, c.Error, c.CR2, c.RIP, tc.vector, tc.err, tc.cr2, tc.rip)
			}
			if c.GS != ArenaData || c.FX[160] != 0x77 || c.GPR[3] != 2 {
				t.Errorf("gs %#x xmm0 %#x rbx %#x", c.GS, c.FX[160], c.GPR[3])
			}
			if tc.name == "add" && c.GPR[0] != 3 {
				t.Errorf("rax %d", c.GPR[0])
			}
		})
	}
}
