package hypercall

import (
	"encoding/binary"
	"testing"

	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

// FuzzCall runs random hypercalls over random memory: nothing may panic, and no call may go on for ever.
func FuzzCall(f *testing.F) {
	for nr := range table {
		for _, s := range table[nr].subs {
			f.Add(uint64(nr), s.nr, uint64(argAt), uint64(argAt), uint64(1), true, []byte{0xf0, 0x7f, 0, 0, 1, 0, 0, 0})
			f.Add(uint64(nr), s.nr, uint64(argAt), uint64(1), uint64(argAt), false, []byte{0xf0, 0x7f, 0, 0, 1, 0, 0, 0})
		}
	}
	f.Add(uint64(xen.HYPERVISOR_multicall), uint64(argAt), uint64(3), uint64(0), uint64(0), false, []byte{12, 0, 0, 0})
	f.Fuzz(func(t *testing.T, nr, a, b, c, d uint64, long bool, mem []byte) {
		g := newGuest(t)
		if len(mem) > 4096 {
			mem = mem[:4096]
		}
		g.put(argAt, mem)
		for i := 0; i < 3; i++ {
			g.regs = [16]uint64{x86.RAX: nr, x86.RDI: a, x86.RSI: b, x86.RDX: c, x86.R10: d, x86.RBX: a, x86.RCX: b}
			if !long {
				g.regs[x86.RSI], g.regs[x86.RDI] = d, d
			}
			for n := 0; n < 50; n++ {
				if g.res = Call(g.d, g.v, &g.regs, long, 0); !g.res.Again {
					break
				}
			}
			g.v.EndPoll()
			g.src.ns.Add(1 << 20)
			g.v.Expire(g.v.Now())
			g.v.UpdateTime()
			if len(mem) >= 8 { // the next round asks for something else
				nr = binary.LittleEndian.Uint64(mem) % 64
			}
		}
		if g.d.Pages() > g.d.MaxPages() {
			t.Fatalf("%d pages of %d", g.d.Pages(), g.d.MaxPages())
		}
	})
}
