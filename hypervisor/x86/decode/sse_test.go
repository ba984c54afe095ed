package decode

import "testing"

// TestForms_decode: every listed form decodes to its operation, with the sizes it says.
func TestForms_decode(t *testing.T) {
	seen := map[[4]int]bool{}
	for _, f := range Forms() {
		key := [4]int{int(f.Prefix), int(f.Map), int(f.Opcode), int(f.Ext)}
		if seen[key] {
			t.Errorf("%x listed twice", key)
		}
		seen[key] = true
		for _, mem := range []bool{false, true} {
			if mem && f.Mem == 0 || !mem && f.MemOnly {
				continue
			}
			code := formBytes(&f, mem)
			var in Inst
			if err := Decode(&in, append(code, make([]byte, 15)...), Mode64); err != OK || in.Op != f.Op || int(in.Len) != len(code) {
				t.Errorf("% x: error %d, op %d, length %d; want op %d", code, err, in.Op, in.Len, f.Op)
			}
			if mem != (in.Flags&FlagMem != 0) || mem && max(in.Size, 1) != f.Mem {
				t.Errorf("% x: flags %#x, size %d, want %d", code, in.Flags, in.Size, f.Mem)
			}
		}
	}
	if len(seen) < 300 {
		t.Errorf("only %d forms", len(seen))
	}
}

func formBytes(f *FormInfo, mem bool) (b []byte) {
	if f.Prefix != 0 {
		b = append(b, f.Prefix)
	}
	b = append(b, 0x0f)
	if f.Map != 0 {
		b = append(b, f.Map)
	}
	b = append(b, f.Opcode)
	if f.ModRM {
		modrm := uint8(0xc1)
		if mem {
			modrm = 0x01
		}
		b = append(b, modrm|uint8(max(f.Ext, 0))<<3)
	}
	if f.Imm {
		b = append(b, 0x11)
	}
	return b
}

func TestDecode_sse(t *testing.T) {
	for _, tc := range []struct {
		name string
		code []byte
		op   Op
		err  Error
	}{
		{"movaps", []byte{0x0f, 0x28, 0xc1}, MOVAPS, OK},
		{"movhlps", []byte{0x0f, 0x12, 0xc1}, MOVLPS, OK},
		{"movlpd needs memory", []byte{0x66, 0x0f, 0x12, 0xc1}, INVALID, Invalid},
		{"movnti", []byte{0x0f, 0xc3, 0x01}, MOVNTI, OK},
		{"psrlw imm", []byte{0x66, 0x0f, 0x71, 0xd1, 3}, PSRLW, OK},
		{"psrldq imm", []byte{0x66, 0x0f, 0x73, 0xd9, 3}, PSRLDQ, OK},
		{"psrldq has no MMX form", []byte{0x0f, 0x73, 0xd9, 3}, INVALID, Invalid},
		{"group 12 has no memory form", []byte{0x66, 0x0f, 0x71, 0x11, 3}, INVALID, Invalid},
		{"F3 wins over 66", []byte{0x66, 0xf3, 0x0f, 0x58, 0xc1}, ADDSS, OK},
		{"lock", []byte{0xf0, 0x0f, 0x58, 0x01}, INVALID, Invalid},
		{"pclmulqdq is not offered", []byte{0x66, 0x0f, 0x3a, 0x44, 0xc1, 0}, INVALID, Invalid},
		{"aesenc is not offered", []byte{0x66, 0x0f, 0x38, 0xdc, 0xc1}, INVALID, Invalid},
		{"crc32", []byte{0xf2, 0x0f, 0x38, 0xf1, 0xc1}, CRC32, OK},
	} {
		var in Inst
		code := append(tc.code, make([]byte, 15)...)
		if err := Decode(&in, code, Mode64); err != tc.err || err == OK && (in.Op != tc.op || int(in.Len) != len(tc.code)) {
			t.Errorf("%s: error %d, op %d, length %d", tc.name, err, in.Op, in.Len)
		}
	}
}
