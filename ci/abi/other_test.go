package abi

import (
	"encoding/binary"
	"strings"
	"time"

	"gozen/benches/guest/abi"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

func otherRows() []row {
	return []row{
		{name: "multicall", covers: []string{"multicall"}, guest: multicall},
		{name: "console_io", covers: []string{"console_io/write", "console_io/read"}, guest: consoleIO},
		{name: "console ring", guest: consoleRing},
		{name: "xenstore ring", guest: storeRing},
		{name: "CPUID", opts: []option{vcpus(2)}, guest: leaves},
		{name: "wall clock", guest: wallClock},
		{name: "user mode", guest: userMode},
		{name: "halt with interrupts off", guest: deadHalt},
		{name: "start info", guest: startInfo},
	}
}

// entries makes a list of multicall entries.
func entries(p *abi.Prog, list ...xen.MulticallEntry) abi.Addr {
	at := p.Words(8 * len(list))
	for i := range list {
		p.SetBytes(at+uint64(64*i), xen.Encode(xen.ABI64, &list[i]))
	}
	return at
}

func multicall(p *abi.Prog) func(*guest) {
	v := xen.MulticallEntry{Op: xen.HYPERVISOR_xen_version, Args: [6]uint64{xen.XENVER_version}}
	nested := xen.MulticallEntry{Op: xen.HYPERVISOR_multicall, Args: [6]uint64{0, 0}}
	yield := xen.MulticallEntry{Op: xen.HYPERVISOR_sched_op, Args: [6]uint64{xen.SCHEDOP_yield}}
	pages := p.NewPage()
	list := frames(p, pages>>12)
	down := xen.MulticallEntry{Op: memoryOp, Args: [6]uint64{xen.XENMEM_decrease_reservation,
		p.Struct(&xen.MemoryReservation{ExtentStart: list, NrExtents: 1, DomID: self})}}
	a := entries(p, v, nested, yield, down, xen.MulticallEntry{Op: 63}, v)
	r := p.Call(xen.HYPERVISOR_multicall, a, 6)
	var many []xen.MulticallEntry
	for range 300 {
		many = append(many, v)
	}
	b := entries(p, many...)
	r2 := p.Call(xen.HYPERVISOR_multicall, b, 300)
	none := p.Call(xen.HYPERVISOR_multicall, 1<<40, 0)
	fault := p.Call(xen.HYPERVISOR_multicall, 1<<40, 1)
	return func(g *guest) {
		g.ok("multicall", r, r2, none)
		result := func(list abi.Addr, i uint64) abi.Addr { return list + 64*i + 8 }
		g.is("version", result(a, 0), 4<<16|17)
		g.fails("a multicall inside", result(a, 1), xen.EINVAL)
		g.ok("yield", result(a, 2))
		g.is("decrease", result(a, 3), 1)
		g.fails("number 63", result(a, 4), xen.ENOSYS)
		g.is("the last version", result(a, 5), 4<<16|17)
		for i := uint64(0); i < 300; i++ {
			if g.u64(result(b, i)) != 4<<16|17 {
				g.t.Fatalf("entry %d of 300 was not done", i)
			}
		}
		g.fails("an unreadable list", fault, xen.EFAULT)
	}
}

func consoleIO(p *abi.Prog) func(*guest) {
	const text = "hello through the emergency console\n"
	buf := p.Bytes([]byte(text))
	long := p.NewPage()
	p.Repeat(4096/8, func() {
		p.MovI(asm.RCX, long)
		p.MovI(asm.RAX, 0x6f6f6f6f6f6f6f6f)
		p.Store(8, asm.Idx(asm.RCX, asm.R15, 8, 0), asm.RAX)
	})
	const nr = xen.HYPERVISOR_console_io
	r := p.Call(nr, xen.CONSOLEIO_write, uint64(len(text)), buf)
	big := p.Call(nr, xen.CONSOLEIO_write, 4096, long)
	read := p.Call(nr, xen.CONSOLEIO_read, 16, buf)
	fault := p.Call(nr, xen.CONSOLEIO_write, 5, 1<<40)
	none := p.Call(nr, 9, 5, buf)
	return func(g *guest) {
		g.ok("console_io", r, big, read)
		g.fails("an unreadable text", fault, xen.EFAULT)
		g.fails("operation 9", none, xen.ENOSYS)
		if s := string(g.log.Bytes(false)); !strings.Contains(s, strings.TrimSpace(text)) || strings.Count(s, "o") < 4096 {
			g.t.Errorf("the hypervisor's log holds %q", s)
		}
	}
}

// consoleRing writes more than the ring holds, waiting for the host to read.
func consoleRing(p *abi.Prog) func(*guest) {
	const line = "the console ring of one page....\n" // 33 bytes
	p.MapHigh()
	ring := p.ConsoleRing()
	b := []byte(strings.Repeat(line, 62)) // 2046 bytes: with the next 2, one ring
	p.PutAt(ring, 0, append(b, "12"...))
	p.AwaitIndex(ring, xen.ConsoleOutCons, uint32(len(b)+2))
	p.At(ring)
	p.MovI(asm.RAX, uint64(binary.LittleEndian.Uint32([]byte("end\n"))))
	p.Store(4, asm.At(asm.RBX, ring.Data), asm.RAX)
	p.MovI(asm.RAX, uint64(len(b)+6))
	p.Store(4, asm.At(asm.RBX, ring.Prod), asm.RAX)
	p.Notify(ring.Port)
	p.AwaitIndex(ring, xen.ConsoleOutCons, uint32(len(b)+6))
	return func(g *guest) {
		if s := g.console(); s != string(b)+"12end\n" {
			g.t.Errorf("the console shows %d bytes: ...%q", len(s), s[max(0, len(s)-50):])
		}
	}
}

// storeRing reads the domain's name, its own number by a path of its own, and something that is not there.
func storeRing(p *abi.Prog) func(*guest) {
	p.MapHigh()
	ring := p.StoreRing()
	reqs := append(abi.Message(xen.XS_READ, 1, 0, "name\x00"), abi.Message(xen.XS_READ, 2, 0, "no/such/node\x00")...)
	reqs = append(reqs, abi.Message(xen.XS_WRITE, 3, 0, "data/greeting\x00hello")...)
	reqs = append(reqs, abi.Message(xen.XS_READ, 4, 0, "data/greeting\x00")...)
	p.PutAt(ring, 0, reqs)
	answers := append(abi.Message(xen.XS_READ, 1, 0, "abi"), abi.Message(xen.XS_ERROR, 2, 0, "ENOENT\x00")...)
	answers = append(answers, abi.Message(xen.XS_WRITE, 3, 0, "OK\x00")...)
	answers = append(answers, abi.Message(xen.XS_READ, 4, 0, "hello")...)
	p.AwaitIndex(ring, xen.XenstoreRspProd, uint32(len(answers)))
	got := p.Words((len(answers) + 7) / 8)
	p.At(ring)
	for i := 0; i < len(answers); i += 8 {
		p.Load(8, asm.RAX, asm.At(asm.RBX, xen.XenstoreRsp+int32(i)))
		p.Store(8, p.Mem(got+uint64(i)), asm.RAX)
	}
	return func(g *guest) {
		if s := string(g.bytes(got, len(answers))); s != string(answers) {
			g.t.Errorf("xenstore answered %q, want %q", s, answers)
		}
		if v, err := g.m.Xenstore().Read("/local/domain/" + g.id + "/data/greeting"); string(v) != "hello" {
			g.t.Errorf("the host sees %q, %v", v, err)
		}
	}
}

func leaves(p *abi.Prog) func(*guest) {
	l := make([]abi.Addr, 6)
	for i := range l {
		l[i] = p.KeepCPUID(0x40000000+uint32(i), 0)
	}
	scale, host := p.KeepCPUID(0x40000003, 1), p.KeepCPUID(0x40000003, 2)
	none := p.KeepCPUID(0x40000100, 0)
	hv := p.KeepCPUID(1, 0)
	return func(g *guest) {
		if s := string(g.bytes(l[0]+8, 4)) + string(g.bytes(l[0]+16, 4)) + string(g.bytes(l[0]+24, 4)); s != "XenVMMXenVMM" {
			g.t.Errorf("signature %q", s)
		}
		g.is("last leaf", l[0], 0x40000005)
		g.is("version", l[1], 4<<16|17)
		g.is("hypercall pages", l[2], 1)
		g.is("their MSR", l[2]+8, 0x40000000)
		g.is("TSC mode", l[3]+8, 0)
		g.is("kHz", l[3]+16, 1000000)
		g.is("incarnation", l[3]+24, 1)
		g.within("multiplier", scale+16, 1, 0xffffffff)
		g.is("host's kHz", host, 1000000)
		const want = xen.XEN_HVM_CPUID_VCPU_ID_PRESENT | xen.XEN_HVM_CPUID_DOMID_PRESENT | xen.XEN_HVM_CPUID_UPCALL_VECTOR
		if f := g.u64(l[4]); f&want != want {
			g.t.Errorf("features of leaf 4: %#x, want %#x in it", f, want)
		}
		g.is("vCPU", l[4]+8, 0)
		g.within("domain", l[4]+16, 1, 0x7fef)
		g.is("a leaf beyond the last", none, 0)
		if g.u64(hv+16)>>31&1 == 0 {
			g.t.Error("CPUID does not say that there is a hypervisor")
		}
	}
}

func wallClock(p *abi.Prog) func(*guest) {
	shared := p.Shared()
	wc := p.KeepBytes(shared+3072, 16)
	t := now(p)
	return func(g *guest) {
		sec := uint64(g.u32(wc+4)) | uint64(g.u32(wc+12))<<32
		day := time.Unix(int64(sec), int64(g.u32(wc+8))).Add(time.Duration(g.u64(t)))
		want := time.Now()
		if g.u32(wc)&1 != 0 || g.u32(wc+8) >= 1e9 {
			g.t.Errorf("wall clock version %d, ns %d", g.u32(wc), g.u32(wc+8))
		}
		if det := day.Unix() >= 1<<30 && day.Unix() <= 1<<30+1; !det && (day.Before(want.Add(-time.Hour)) || day.After(want.Add(time.Minute))) {
			g.t.Errorf("it is %v, the guest thinks %v", want, day)
		}
	}
}

// userMode makes a hypercall in ring 3, where it must not work.
func userMode(p *abi.Prog) func(*guest) {
	const pml4, dirs = 0x180000, 3
	p.IDT()
	for t := uint64(0); t < dirs; t++ {
		p.Set8(pml4+t*0x1000, 7)
	}
	for t := uint64(0); t < 8; t++ {
		p.Set8(pml4+0x2000+8*t, 7)
	}
	p.Repeat(8*512, func() {
		p.MovI(asm.RCX, pml4+0x3000)
		p.OpMI(asm.OR, 1, asm.Idx(asm.RCX, asm.R15, 8, 0), 4)
	})
	p.FromCR(asm.RAX, 3)
	p.ToCR(3, asm.RAX)
	result, user := p.Words(1), p.NewLabel()
	gdt := p.Words(8)
	p.Set(gdt, 0x2f|(gdt+16)<<16)
	for i, d := range []uint64{0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0, 0x00affb000000ffff, 0x00cff3000000ffff} {
		p.Set(gdt+16+8*uint64(i), d)
	}
	p.Lgdt(p.Mem(gdt))
	p.MovI(asm.RAX, 0x2b)
	p.Push(asm.RAX)
	p.MovI(asm.RAX, 0x23)
	p.MovI(asm.RCX, 0x177000)
	p.Push(asm.RCX)
	p.MovI(asm.RCX, 0x3002) // IOPL 3, so that the end is possible from there
	p.Push(asm.RCX)
	p.Push(asm.RAX)
	p.MovLabel(asm.RAX, user)
	p.Push(asm.RAX)
	p.Iretq()
	p.Label(user)
	p.Call(xen.HYPERVISOR_xen_version, xen.XENVER_version, 0)
	p.Store(8, p.Mem(result), asm.RAX)
	p.Out8(0xb004, 0x34)
	return func(g *guest) { g.fails("a hypercall from user mode", result, xen.EPERM) }
}

// deadHalt: the last vCPU that halts with interrupts off powers the domain off, as on Xen.
func deadHalt(p *abi.Prog) func(*guest) {
	p.Cli()
	p.Hlt()
	behind := p.Words(1)
	p.Set(behind, 1)
	return func(g *guest) { g.ok("went on behind the halt", behind) }
}

func startInfo(p *abi.Prog) func(*guest) {
	return func(g *guest) {
		at := g.u64(p.StartInfo)
		var s xen.HVMStartInfo
		g.decode(at, &s)
		if s.Magic != xen.XEN_HVM_START_MAGIC_VALUE || s.Version != 1 || s.NrModules != 0 || s.MemmapEntries != 3 || s.RSDPPAddr != 0xfc000000 {
			g.t.Errorf("start info %+v", s)
		}
		var e xen.HVMMemmapTableEntry
		if g.decode(s.MemmapPAddr, &e); e.Addr != 0 || e.Size != 24<<20 || e.Type != xen.XEN_HVM_MEMMAP_TYPE_RAM {
			g.t.Errorf("memory map begins with %+v", e)
		}
	}
}
