package decode

import "testing"

func TestEncodings_decodeToThemselves(t *testing.T) {
	all := Encodings()
	if len(all) < 2000 {
		t.Fatalf("%d encodings", len(all))
	}
	for _, e := range all {
		b := e.Bytes(0, false)
		modrm := uint8(1)
		switch {
		case e.Fixed >= 0:
			modrm = uint8(e.Fixed)
		case !e.Mem:
			modrm = 0xc1
		}
		if e.Ext > 0 && e.Fixed < 0 {
			modrm |= uint8(e.Ext) << 3
		}
		if e.ModRM {
			b = append(b, modrm)
		}
		b = append(b, make([]byte, 11)...)
		var in Inst
		if err := Decode(&in, b[:min(len(b), MaxLen)], Mode64); err != OK || in.Op != e.Op || in.Form != e.Form || in.Size != e.Size || (in.Flags&FlagMem != 0) != e.Mem {
			t.Errorf("%+v as % x: %v %+v", e, b, err, in)
		}
	}
}

func TestEncodings_known(t *testing.T) {
	count := map[Op]int{}
	for _, e := range Encodings() {
		count[e.Op]++
	}
	for op, want := range map[Op]int{
		POPCNT: 6, CRC32: 8, BSF: 6, XLAT: 1, PADDB: 4, MOVD: 16, MOVS: 12, CMPXCHG16B: 1, CMPXCHG8B: 1, LEA: 3, PAUSE: 1, X87: 8*8 + 8*64, JCC: 32,
	} {
		if count[op] != want {
			t.Errorf("op %d: %d encodings, want %d", op, count[op], want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, e := range Encodings()[:200] {
		f.Add(append(e.Bytes(0, false), 0x84, 0x48, 1, 2, 3, 4, 5), uint8(Mode64))
	}
	for _, s := range []string{"\x66\x67\xf0\xf2\xf3\x2e\x3e\x64\x65\x48\x0f\x38", "\xf0\x0f\xc7\x08", "\xea\x01\x02\x03\x04\x05\x06", "\xc8\x10\x00\x1f", "\x48\xb8\x01"} {
		for m := Mode16; m <= Mode64; m++ {
			f.Add([]byte(s), uint8(m))
		}
	}
	f.Fuzz(func(t *testing.T, code []byte, mode uint8) {
		var in Inst
		switch Decode(&in, code, Mode(mode%3)) {
		case OK:
			if int(in.Len) > len(code) || in.Len == 0 || in.Len > MaxLen || in.Op == INVALID || in.Op >= Op(NumOps) {
				t.Fatalf("% x: %+v", code, in)
			}
			var again Inst
			if Decode(&again, code[:in.Len], Mode(mode%3)) != OK || again != in {
				t.Fatalf("% x: %+v, cut to its length %+v", code, in, again)
			}
		case TooLong:
			if len(code) < MaxLen {
				t.Fatalf("% x: too long", code)
			}
		}
	})
}
