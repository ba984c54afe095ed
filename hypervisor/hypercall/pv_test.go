package hypercall

import (
	"encoding/binary"
	"testing"
	"time"

	"gozen/hypervisor/domain"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/pv"
	"gozen/hypervisor/pv/monitor"
	"gozen/hypervisor/xen"
)

// newPV makes a PV domain of 16 MiB with two vCPUs; virtual addresses are physical ones.
func newPV(t testing.TB) *guest {
	t.Helper()
	l := pv.NewLayout(ramSize, 2, 4)
	m, err := guestmem.New(l.Ranges())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	machine, err := pv.New(m, l, 2, []byte{0xe6, 0xe7})
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, src: &testSource{}, long: true}
	g.src.ns.Store(1000)
	g.d, err = domain.New(domain.Config{ID: 7, Memory: m, VCPUs: 2, FIFO: true, PV: machine, Source: g.src, Wall: time.Unix(1_700_000_000, 0), Console: &g.console,
		E820: []xen.HVMMemmapTableEntry{{Size: ramSize, Type: 1}}, OnShutdown: func(s domain.Shutdown) { g.ended = append(g.ended, s) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.d.AddToPhysmap(xen.XENMAPSPACE_shared_info, 0, l.SharedInfo); err != 0 {
		t.Fatal(err)
	}
	for _, v := range g.d.VCPUs {
		v.Virt = flat{m}
		v.PV.SetInfo(l.SharedInfo, uint32(v.ID)*xen.VCPUInfoSize)
	}
	g.v = g.d.VCPUs[0]
	g.v.BringUp()
	return g
}

// pv does a hypercall of the PV kernel to its end.
func (g *guest) pv(nr uint64, args ...uint64) uint64 {
	r := &g.v.PV.Regs
	*r = [monitor.FrameWords]uint64{monitor.RAX: nr}
	for i, a := range args {
		r[argsPV[i]] = a
	}
	for range 10000 {
		if g.res = CallPV(g.d, g.v); !g.res.Again {
			return r[monitor.RAX]
		}
	}
	g.t.Fatal("does not end")
	return 0
}

const (
	l4At, l3At, l2At, l1At = 0x100000, 0x101000, 0x102000, 0x103000
	entryBits              = 0x63 // present, writable, accessed, dirty: and no user bit
	ownDom                 = uint64(xen.DOMID_SELF)
)

// tables makes page tables of four levels that map a page.
func (g *guest) tables() {
	g.put(l4At, uint64(l3At|entryBits))
	g.put(l3At, uint64(l2At|entryBits))
	g.put(l2At, uint64(l1At|entryBits))
	g.put(l1At, uint64(0x5000|entryBits|0x100)) // and global
}

func (g *guest) word(at guestmem.GPA) uint64 {
	g.t.Helper()
	v, err := g.d.Memory.Read64(at)
	if err != nil {
		g.t.Fatal(err)
	}
	return v
}

// pin pins a table by MMUEXT_PIN_L1_TABLE to MMUEXT_PIN_L4_TABLE.
func (g *guest) ext(cmd, arg1, arg2 uint64) uint64 {
	g.put(argAt, cmd, arg1, arg2)
	return g.pv(xen.HYPERVISOR_mmuext_op, argAt, 1, 0, ownDom)
}

func TestPV_pinnedTablesAreUsersAtEveryLevel(t *testing.T) {
	g := newPV(t)
	g.tables()
	if r := g.ext(xen.MMUEXT_PIN_L4_TABLE, l4At>>12, 0); r != 0 {
		t.Fatalf("pin: %d", int64(r))
	}
	for i, at := range []guestmem.GPA{l4At, l3At, l2At, l1At} {
		if e := g.word(at); e&0x107 != 7 {
			t.Errorf("level %d: entry %#x", 4-i, e)
		}
		if n := g.d.PV.MMU.Level(at.GFN()); n != 4-i {
			t.Errorf("frame %#x is a table of level %d", at.GFN(), n)
		}
	}
	for _, slot := range []guestmem.GPA{monitor.M2PSlot, monitor.HomeSlot} {
		if g.word(l4At+8*slot)&1 == 0 {
			t.Errorf("the monitor's slot %d is empty", slot)
		}
	}
	// A table is no table of another level, and is not pinned twice.
	for _, c := range [][2]uint64{{xen.MMUEXT_PIN_L3_TABLE, l4At >> 12}, {xen.MMUEXT_PIN_L4_TABLE, l4At >> 12}, {xen.MMUEXT_PIN_L1_TABLE, l2At >> 12},
		{xen.MMUEXT_PIN_L4_TABLE, 1 << 40}, {xen.MMUEXT_UNPIN_TABLE, l3At >> 12}} {
		if r := g.ext(c[0], c[1], 0); r != xen.EINVAL.Ret() {
			t.Errorf("command %d of frame %#x: %d", c[0], c[1], int64(r))
		}
	}
	if r := g.ext(xen.MMUEXT_UNPIN_TABLE, l4At>>12, 0); r != 0 {
		t.Fatalf("unpin: %d", int64(r))
	}
	for _, at := range []guestmem.GPA{l4At, l3At, l2At, l1At} {
		if n := g.d.PV.MMU.Level(at.GFN()); n != 0 {
			t.Errorf("frame %#x still is a table of level %d", at.GFN(), n)
		}
	}
}

func TestPV_refusedPinLeavesNothing(t *testing.T) {
	for name, break_ := range map[string]func(g *guest){
		"a large page":            func(g *guest) { g.put(l2At+8, uint64(0x200000|entryBits|0x80)) },
		"the monitor's memory":    func(g *guest) { g.put(l1At+8, uint64(g.d.PV.Hidden.Base)|entryBits) },
		"beyond all memory":       func(g *guest) { g.put(l3At+8, uint64(1<<50|entryBits)) },
		"a table as another kind": func(g *guest) { g.put(l3At+8, uint64(l3At|entryBits)) },
	} {
		g := newPV(t)
		g.tables()
		break_(g)
		if r := g.ext(xen.MMUEXT_PIN_L4_TABLE, l4At>>12, 0); r != xen.EINVAL.Ret() {
			t.Errorf("%s: %d", name, int64(r))
		}
		for _, at := range []guestmem.GPA{l4At, l3At, l2At, l1At} {
			if n := g.d.PV.MMU.Level(at.GFN()); n != 0 {
				t.Errorf("%s: frame %#x is a table of level %d", name, at.GFN(), n)
			}
		}
	}
}

func TestPV_mmuUpdate(t *testing.T) {
	g := newPV(t)
	g.tables()
	g.ext(xen.MMUEXT_PIN_L4_TABLE, l4At>>12, 0)
	update := func(ptr, val uint64) uint64 {
		g.put(argAt, ptr, val)
		return g.pv(xen.HYPERVISOR_mmu_update, argAt, 1, listAt, ownDom)
	}
	if r := update(l1At+16, 0x7000|entryBits); r != 0 || g.word(l1At+16) != 0x7000|entryBits|4 || g.word(listAt)&0xffffffff != 1 {
		t.Errorf("%d: entry %#x, %d done", int64(r), g.word(l1At+16), g.word(listAt))
	}
	// The accessed and dirty bits that the processor has set stay where that is asked for.
	if r := update(l1At+16|xen.MMU_PT_UPDATE_PRESERVE_AD, 0x7001); r != 0 || g.word(l1At+16) != 0x7065 {
		t.Errorf("%d: entry %#x", int64(r), g.word(l1At+16))
	}
	// Another table below this one: it becomes a table, and the one that goes is none any more.
	if r := update(l2At, 0x104000|entryBits); r != 0 || g.d.PV.MMU.Level(0x104) != 1 || g.d.PV.MMU.Level(l1At>>12) != 0 {
		t.Errorf("%d: levels %d %d", int64(r), g.d.PV.MMU.Level(0x104), g.d.PV.MMU.Level(l1At>>12))
	}
	for _, c := range []struct{ ptr, val, want uint64 }{
		{l4At + 8*monitor.HomeSlot, 0, xen.EINVAL.Ret()}, {l1At + 4, 0, xen.ENOSYS.Ret()}, {1 << 40, 0, xen.EINVAL.Ret()},
		{l2At, uint64(g.d.PV.Hidden.Base) | entryBits, xen.EINVAL.Ret()}, {1<<40 | xen.MMU_MACHPHYS_UPDATE, 0, xen.EINVAL.Ret()},
	} {
		if c.ptr == l1At+4 { // low bits are the kind of request: 4 is none of an entry
			c.want = xen.EINVAL.Ret()
		}
		if r := update(c.ptr, c.val); r != c.want {
			t.Errorf("update of %#x to %#x: %d, want %d", c.ptr, c.val, int64(r), int64(c.want))
		}
	}
	if r := update(5<<12|xen.MMU_MACHPHYS_UPDATE, 77); r != 0 || g.word(g.d.PV.Hidden.Base+5*8) != 77 {
		t.Errorf("%d: machine to physical %d", int64(r), g.word(g.d.PV.Hidden.Base+5*8))
	}
}

func TestPV_longListsAreContinued(t *testing.T) {
	g := newPV(t)
	g.tables()
	g.ext(xen.MMUEXT_PIN_L4_TABLE, l4At>>12, 0)
	var list []byte
	for i := range uint64(200) {
		list = binary.LittleEndian.AppendUint64(list, l1At+8*i)
		list = binary.LittleEndian.AppendUint64(list, i<<12|entryBits)
	}
	g.put(listAt, list)
	r := &g.v.PV.Regs
	*r = [monitor.FrameWords]uint64{monitor.RAX: xen.HYPERVISOR_mmu_update, monitor.RDI: listAt, monitor.RSI: 200, monitor.RDX: argAt, monitor.R10: ownDom}
	parts := 0
	for CallPV(g.d, g.v).Again {
		parts++
	}
	if parts < 2 || r[monitor.RAX] != 0 || g.word(argAt)&0xffffffff != 200 || g.word(l1At+8*199) != 199<<12|entryBits|4 {
		t.Errorf("%d parts, result %d, %d done, last entry %#x", parts, int64(r[monitor.RAX]), g.word(argAt)&0xffffffff, g.word(l1At+8*199))
	}
}

func TestPV_descriptors(t *testing.T) {
	g := newPV(t)
	g.put(0x6000, uint64(0), uint64(0x00af9b000000ffff), uint64(0x00cf93000000ffff)) // of ring 0: become ring 3's
	g.put(argAt, uint64(6))
	if r := g.pv(xen.HYPERVISOR_set_gdt, argAt, 3); r != 0 || g.word(0x6008) != 0x00affb000000ffff || g.word(0x6010) != 0x00cff3000000ffff {
		t.Errorf("%d: %#x %#x", int64(r), g.word(0x6008), g.word(0x6010))
	}
	g.put(0x7000, uint64(0x0000ec0000080000)) // a call gate
	g.put(argAt, uint64(7))
	if r := g.pv(xen.HYPERVISOR_set_gdt, argAt, 1); r != xen.EINVAL.Ret() {
		t.Errorf("a call gate in the table: %d", int64(r))
	}
	if r := g.pv(xen.HYPERVISOR_set_gdt, argAt, 14*512+1); r != xen.EINVAL.Ret() {
		t.Errorf("the reserved entries: %d", int64(r))
	}
	if r := g.pv(xen.HYPERVISOR_update_descriptor, 0x6018, 0x0000ec0000080000); r != xen.EINVAL.Ret() {
		t.Errorf("a call gate: %d", int64(r))
	}
	if r := g.pv(xen.HYPERVISOR_update_descriptor, 0x6018, 0x00af9b000000ffff); r != 0 || g.word(0x6018) != 0x00affb000000ffff {
		t.Errorf("%d: %#x", int64(r), g.word(0x6018))
	}
}

func TestPV_bounceAndIret(t *testing.T) {
	g := newPV(t)
	p := g.v.PV
	if err := p.SetKernelRoot(g.pinned()); err != 0 {
		t.Fatal(err)
	}
	if err := p.SetUserRoot(g.pinned2()); err != 0 {
		t.Fatal(err)
	}
	p.KernelSP = 0x9008 // gets aligned
	p.Kernel = false
	p.Regs = [monitor.FrameWords]uint64{monitor.RIP: 0x401000, monitor.CS: 0x33, monitor.RFLAGS: 0x10202, monitor.RSP: 0x7fff0000, monitor.SS: 0x2b, monitor.RCX: 0xcc, monitor.R11: 0x11}
	code := uint32(6)
	if !p.Bounce(g.v.Virt, g.v, 0xffffffff81000000, true, &code) {
		t.Fatal("no frame")
	}
	want := []uint64{0xcc, 0x11, 6, 0x401000, 0x33, 0x10202, 0x7fff0000, 0x2b}
	at := guestmem.GPA(0x9000 - 8*len(want))
	for i, w := range want {
		if v := g.word(at + guestmem.GPA(8*i)); v != w {
			t.Errorf("word %d of the frame: %#x, want %#x", i, v, w)
		}
	}
	r := &p.Regs
	if !p.Kernel || !g.v.Masked() || r[monitor.RSP] != uint64(at) || r[monitor.RIP] != 0xffffffff81000000 || r[monitor.CS] != 0xe033 || r[monitor.SS] != 0xe02b ||
		r[monitor.RFLAGS] != 0x202 {
		t.Errorf("kernel %v, masked %v, frame %#x", p.Kernel, g.v.Masked(), r)
	}
	// A fault of the kernel itself stays on its stack, and tells the mask.
	if !p.Bounce(g.v.Virt, g.v, 0xffffffff81000010, false, nil) {
		t.Fatal("no frame")
	}
	if cs, flags := g.word(at-0x38+0x18), g.word(at-0x38+0x20); cs != 1<<32|0xe030 || flags&0x200 != 0 {
		t.Errorf("cs %#x flags %#x", cs, flags)
	}
	// And back to the process.
	r[monitor.RSP] = 0x8000
	g.put(0x8000, uint64(1), uint64(2), uint64(3), uint64(0), uint64(0x401002), uint64(0x33), uint64(0x3202), uint64(0x7fff0008), uint64(0x2b))
	if g.pv2(xen.HYPERVISOR_iret); p.Kernel || g.v.Masked() || r[monitor.RIP] != 0x401002 || r[monitor.RAX] != 1 || r[monitor.R11] != 2 || r[monitor.RCX] != 3 ||
		r[monitor.RFLAGS] != 0x202 || r[monitor.RSP] != 0x7fff0008 {
		t.Errorf("kernel %v, masked %v, frame %#x", p.Kernel, g.v.Masked(), r)
	}
	if len(g.ended) != 0 {
		t.Error(g.ended)
	}
	p.Kernel, r[monitor.RSP] = true, unmap+1<<32
	if g.pv2(xen.HYPERVISOR_iret); len(g.ended) != 1 {
		t.Error("iret without a frame did not end the domain")
	}
}

// pv2 does a hypercall with the registers as they are.
func (g *guest) pv2(nr uint64) {
	g.v.PV.Regs[monitor.RAX] = nr
	g.res = CallPV(g.d, g.v)
}

// pinned makes page tables and pins them; pinned2 makes others.
func (g *guest) pinned() guestmem.GFN {
	g.tables()
	g.ext(xen.MMUEXT_PIN_L4_TABLE, l4At>>12, 0)
	return l4At >> 12
}

func (g *guest) pinned2() guestmem.GFN {
	g.put(0x110000, uint64(0))
	if r := g.ext(xen.MMUEXT_PIN_L4_TABLE, 0x110, 0); r != 0 {
		g.t.Fatal(int64(r))
	}
	return 0x110
}

// FuzzCallPV runs random hypercalls of a PV kernel over random memory: nothing may panic, and no call may go on for ever.
func FuzzCallPV(f *testing.F) {
	for nr := range tablePV {
		f.Add(uint64(nr), uint64(argAt), uint64(2), uint64(listAt), ownDom, []byte{0, 0, 16, 0, 0, 0, 0, 0, 0x63, 0x10, 16})
		f.Add(uint64(nr), uint64(0), uint64(argAt), uint64(argAt), uint64(0), []byte{3, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	}
	f.Fuzz(func(t *testing.T, nr, a, b, c, d uint64, mem []byte) {
		g := newPV(t)
		g.pinned()
		if len(mem) > 4096 {
			mem = mem[:4096]
		}
		g.put(argAt, mem)
		g.put(l4At+8*3, mem[:len(mem)&^7])
		p := g.v.PV
		for i := range 4 {
			p.Regs[monitor.RSP] = argAt
			p.Regs[monitor.RAX], p.Regs[monitor.RDI], p.Regs[monitor.RSI], p.Regs[monitor.RDX], p.Regs[monitor.R10] = nr, a, b, c, d
			for range 50 {
				if g.res = CallPV(g.d, g.v); !g.res.Again {
					break
				}
			}
			g.v.EndPoll()
			p.Store()
			p.Load()
			p.Bounce(g.v.Virt, g.v, a, i&1 == 0, nil)
			if len(mem) >= 8 {
				nr = binary.LittleEndian.Uint64(mem) % 64
				a, b = b, a
			}
		}
	})
}
