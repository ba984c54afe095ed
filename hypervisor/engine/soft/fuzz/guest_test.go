package fuzz

import (
	"encoding/binary"
	"testing"

	"gozen/hypervisor/engine/soft"
	"gozen/hypervisor/engine/soft/native"
)

func initialFX(c *native.Context) {
	binary.LittleEndian.PutUint16(c.FX[0:], 0x37f)
	binary.LittleEndian.PutUint32(c.FX[24:], 0x1f80)
}

func TestGuest_faults(t *testing.T) {
	g, err := NewGuest(soft.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	tests := []struct {
		name   string
		code   []byte
		vector int
		err    uint64
		cr2    uint64
		rip    uint64
	}{
		{"add", []byte{0x48, 0x01, 0xd8}, native.NoFault, 0, 0, native.ArenaExit},
		{"ud2", []byte{0x0f, 0x0b}, 6, 0, 0, native.ArenaCode},
		{"int3", []byte{0xcc}, 3, 0, 0, native.ArenaCode + 1},
		{"hlt", []byte{0xf4}, 13, 0, 0, native.ArenaCode},
		{"div", []byte{0x31, 0xc9, 0xf7, 0xf1}, 0, 0, 0, native.ArenaCode + 2},
		{"read guard", []byte{0x8b, 0x06}, 14, 4, native.ArenaData - 4, native.ArenaCode},
		{"write read-only", []byte{0x89, 0x07}, 14, 7, native.ArenaReadOnly, native.ArenaCode},
		{"fetch data", []byte{0xff, 0xe7}, 14, 0x15, native.ArenaReadOnly, native.ArenaReadOnly},
	}
	for _, tc := range tests {
		for _, single := range []bool{false, true} {
			t.Run(tc.name, func(t *testing.T) {
				code := append([]byte(nil), tc.code...)
				code = append(code, 0xe9)
				code = binary.LittleEndian.AppendUint32(code, uint32(native.ArenaExit-(native.ArenaCode+len(code)+4)))
				g.SetCode(0, code)
				var c native.Context
				c.RIP = native.ArenaCode
				c.GPR[0], c.GPR[3], c.GPR[6], c.GPR[7] = 1, 2, native.ArenaData-4, native.ArenaReadOnly
				initialFX(&c)
				c.FX[160] = 0x77
				c.GS = native.ArenaData
				if err := g.Run(&c, single); err != nil {
					t.Fatal(err)
				}
				if c.Vector != tc.vector || c.Error != tc.err || c.CR2 != tc.cr2 || c.RIP != tc.rip {
					t.Errorf("vector %d error %#x cr2 %#x rip %#x, want %d %#x %#x %#x", c.Vector, c.Error, c.CR2, c.RIP, tc.vector, tc.err, tc.cr2, tc.rip)
				}
				if c.GS != native.ArenaData || c.FX[160] != 0x77 || c.GPR[3] != 2 {
					t.Errorf("gs %#x xmm0 %#x rbx %#x", c.GS, c.FX[160], c.GPR[3])
				}
				if tc.name == "add" && (c.GPR[0] != 3 || g.Steps != 1) {
					t.Errorf("rax %d steps %d", c.GPR[0], g.Steps)
				}
			})
		}
	}
}
