package fuzz

import (
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

// TestDecode_lengths compares instruction lengths with another decoder where both know the instruction.
func TestDecode_lengths(t *testing.T) {
	g := NewGenerator(3)
	both, bad := 0, 0
	for n := uint64(0); n < 40; n++ {
		for f := range g.forms {
			c := g.Single(f, n)
			in := &c.Instrs[len(c.Instrs)-1]
			x, err := x86asm.Decode(in.Bytes, 64)
			if err != nil || x.Op == 0 { // a prefix it gives up behind
				continue
			}
			if both++; x.Len != int(in.In.Len) {
				t.Errorf("%s: % x: length %d, x86asm has %d (%v)", Name(&g.forms[f].Encoding), in.Bytes, in.In.Len, x.Len, x)
				if bad++; bad > 10 {
					t.FailNow()
				}
			}
		}
	}
	if both < 20000 {
		t.Errorf("x86asm knows only %d of the instructions", both)
	}
}
