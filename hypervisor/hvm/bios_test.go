package hvm

import (
	"strings"
	"testing"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

// bios makes an image of n bytes with a jump at its end.
func bios(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i >> 8)
	}
	b[n-resetEntry] = farJump
	return b
}

func TestLoadBIOS(t *testing.T) {
	for _, n := range []int{64 << 10, 128 << 10, 256 << 10} {
		p, m := newPlan(t, 64<<20, 1)
		s, err := p.LoadBIOS(m, "bios", bios(n))
		if err != nil {
			t.Fatal(err)
		}
		cs := s.Seg[x86.CS]
		if cs.Base+s.RIP != 0xffff0 || cs.Selector != 0xf000 || s.CR0&(x86.CR0PE|x86.CR0PG) != 0 {
			t.Errorf("it starts at %#x:%#x, cr0 %#x", cs.Selector, s.RIP, s.CR0)
		}
		var first, last [1]byte
		_ = m.Read(guestmem.GPA(cs.Base+s.RIP), last[:])
		_ = m.Read(guestmem.GPA(1<<20-n+0x100), first[:])
		if last[0] != farJump || first[0] != 1 {
			t.Errorf("%d bytes: the image is not below 1 MiB", n)
		}
	}
}

func TestLoadBIOS_info(t *testing.T) {
	p, m := newPlan(t, 5<<30, 1)
	if _, err := p.LoadBIOS(m, "bios", bios(128<<10)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 0x200)
	if err := m.Read(infoAt, b); err != nil || string(b[:14]) != "XenHVMSeaBIOS\x00" || b[14] != 32 || sum(b[:32]) != 0 {
		t.Fatalf("% x %v", b[:32], err)
	}
	tables, e820 := le.Uint32(b[16:])-infoAt, le.Uint32(b[24:])-infoAt
	if le.Uint32(b[20:]) != 2 || le.Uint32(b[28:]) != 6 {
		t.Errorf("%d tables, %d entries of the memory map", le.Uint32(b[20:]), le.Uint32(b[28:]))
	}
	for i, want := range []string{"RSD PTR ", "_SM_"} {
		var sig [8]byte
		_ = m.Read(guestmem.GPA(le.Uint32(b[tables+uint32(4*i):])), sig[:])
		if !strings.HasPrefix(string(sig[:]), want) {
			t.Errorf("table %d is %q", i, sig)
		}
	}
	last := b[e820+5*20:]
	if le.Uint64(last) != 4<<30 || le.Uint32(last[16:]) != xen.XEN_HVM_MEMMAP_TYPE_RAM {
		t.Errorf("last entry % x", last[:20])
	}
}

func TestLoadBIOS_refuses(t *testing.T) {
	p, m := newPlan(t, 64<<20, 1)
	noJump := bios(64 << 10)
	noJump[len(noJump)-resetEntry] = 0
	for name, b := range map[string][]byte{"empty": nil, "too small": bios(32 << 10), "too large": bios(512 << 10), "odd": bios(64<<10 + 512), "no jump": noJump} {
		if _, err := p.LoadBIOS(m, "x", b); err == nil || !strings.Contains(err.Error(), "SeaBIOS") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
