package abi

import (
	"fmt"
	"strings"
	"testing"

	"gozen/benches/guest/abi32"
	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// row32 is a row for a 32-bit guest: the calls whose structs or answers differ there.
type row32 struct {
	name   string
	covers []string
	opts   []option
	guest  func(p *abi32.Prog) (check func(g *guest32))
}

func rows32() []row32 {
	return []row32{
		{name: "xen_version", covers: []string{"xen_version/version", "xen_version/platform_parameters", "xen_version/get_features"}, guest: version32},
		{name: "memory", covers: []string{"memory_op/decrease_reservation", "memory_op/populate_physmap", "memory_op/add_to_physmap_batch",
			"memory_op/memory_map", "memory_op/remove_from_physmap"}, guest: memory32},
		{name: "multicall", covers: []string{"multicall"}, guest: multicall32},
		{name: "grants", covers: []string{"grant_table_op/setup_table", "grant_table_op/copy", "grant_table_op/map_grant_ref"}, guest: grants32},
		{name: "addresses", guest: addresses32},
		{name: "timer upcall", covers: []string{"vcpu_op/set_singleshot_timer", "event_channel_op/bind_virq", "hvm_op/set_param"}, guest: timer32},
		{name: "set_timer_op", covers: []string{"set_timer_op"}, guest: timerOp32},
		{name: "2-level words", covers: []string{"event_channel_op/bind_ipi", "event_channel_op/send", "event_channel_op/unmask"}, guest: words32},
		{name: "FIFO events", covers: []string{"event_channel_op/init_control", "event_channel_op/expand_array"}, guest: fifo32},
		{name: "poll", covers: []string{"sched_op/poll"}, guest: poll32},
		{name: "run states", covers: []string{"vcpu_op/register_runstate_memory_area", "vcpu_op/get_runstate_info"}, guest: runstates32},
		{name: "vcpu_info elsewhere", covers: []string{"vcpu_op/register_vcpu_info"}, guest: registerInfo32},
		{name: "second vCPU", covers: []string{"vcpu_op/initialise", "vcpu_op/up"}, opts: []option{vcpus(2)}, guest: second32},
	}
}

// TestRows32 runs each guest with both kinds of page tables, through the instruction in virtual time and through the hypercall page in the host's time.
func TestRows32(t *testing.T) {
	for _, r := range rows32() {
		for _, paging := range []tiny.Paging{tiny.Legacy, tiny.PAE} {
			for _, entry := range []abi32.Entry{abi32.VMMCALL, abi32.Page} {
				name := fmt.Sprintf("%s/%s/%s", r.name, [...]string{"32-bit", "pae"}[paging], [...]string{"vmmcall", "page"}[entry])
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					var check func(*guest32)
					image, err := abi32.Build(paging, entry, func(p *abi32.Prog) { check = r.guest(p) })
					if err != nil {
						t.Fatal(err)
					}
					g := &guest32{start(t, image, append([]option{deterministic(entry == abi32.VMMCALL)}, r.opts...)...)}
					g.powersOff()
					check(g)
					for _, c := range r.covers {
						if g.called(c) == 0 {
							t.Errorf("the guest did not call %s", c)
						}
					}
				})
			}
		}
	}
}

// guest32 is a guest whose words have 32 bits.
type guest32 struct{ *guest }

func (g *guest32) word(at abi32.Addr) uint32 { g.t.Helper(); return g.u32(uint64(at)) }

// is wants a word to hold a value.
func (g *guest32) is(what string, at abi32.Addr, want uint32) {
	g.t.Helper()
	if got := g.word(at); got != want {
		g.t.Errorf("%s: %#x, want %#x", what, got, want)
	}
}

// ok wants results 0.
func (g *guest32) ok(what string, at ...abi32.Addr) {
	g.t.Helper()
	for i, a := range at {
		if got := g.word(a); got != 0 {
			g.t.Errorf("%s %d: %d, want 0", what, i, int32(got))
		}
	}
}

// fails wants a result to be an error.
func (g *guest32) fails(what string, at abi32.Addr, want xen.Errno) {
	g.t.Helper()
	if got := g.word(at); got != uint32(want.Ret()) {
		g.t.Errorf("%s: %d, want %d (%v)", what, int32(got), int32(want.Ret()), want)
	}
}

// read decodes a wire struct.
func (g *guest32) read(at abi32.Addr, s xen.Struct) {
	g.t.Helper()
	d := xen.Decoder(xen.ABI32, g.bytes(uint64(at), xen.SizeOf(xen.ABI32, s)))
	s.Layout(&d)
}

func version32(p *abi32.Prog) func(*guest32) {
	v := p.Call(xen.HYPERVISOR_xen_version, xen.XENVER_version)
	params := p.Bytes([]byte("........"))
	r := p.Call(xen.HYPERVISOR_xen_version, xen.XENVER_platform_parameters, params)
	features := p.Struct(&xen.FeatureInfo{})
	r2 := p.Call(xen.HYPERVISOR_xen_version, xen.XENVER_get_features, features)
	text := p.NewPage()
	r3 := p.Call(xen.HYPERVISOR_xen_version, xen.XENVER_capabilities, text)
	bad := p.Call(xen.HYPERVISOR_xen_version, 99, text)
	unknown := p.Call(63)
	return func(g *guest32) {
		g.is("version", v, 4<<16|17)
		g.ok("calls", r, r2, r3)
		g.is("virtual start", params, 0xf5800000)
		g.is("behind it", params+4, 0x2e2e2e2e) // one long, not two
		g.is("features", features+4, 0x00012305)
		if s := g.text(uint64(text)); !strings.Contains(s, "hvm-3.0-x86_32p") {
			g.t.Errorf("capabilities %q", s)
		}
		g.fails("operation 99", bad, xen.ENOSYS)
		g.fails("number 63", unknown, xen.ENOSYS)
	}
}

// frames32 is a list of frame numbers.
func frames32(p *abi32.Prog, list ...abi32.Addr) abi32.Addr {
	at := p.Words(len(list))
	for i, a := range list {
		p.Set(at+4*abi32.Addr(i), a>>12)
	}
	return at
}

func memory32(p *abi32.Prog) func(*guest32) {
	a, b, c := p.NewPage(), p.NewPage(), p.NewPage()
	p.Set(b, 0x1234)
	list := p.Struct(&xen.MemoryReservation{ExtentStart: uint64(frames32(p, a, c)), NrExtents: 2, DomID: self})
	down := p.Call(memoryOp, xen.XENMEM_decrease_reservation, list)
	up := p.Call(memoryOp, xen.XENMEM_populate_physmap, list)
	errs := p.Bytes([]byte("........"))
	r := p.Call(memoryOp, xen.XENMEM_add_to_physmap_batch, p.Struct(&xen.AddToPhysmapBatch{DomID: self, Space: xen.XENMAPSPACE_gmfn, Size: 2,
		Idxs: uint64(frames32(p, b, 0xfffff000)), GPFNs: uint64(frames32(p, c, a)), Errs: uint64(errs)}))
	invalid := p.Call(memoryOp, xen.XENMEM_add_to_physmap, p.Struct(&xen.AddToPhysmap{DomID: self, Space: xen.XENMAPSPACE_gmfn, GPFN: 0xffffffff}))
	gone := p.Call(memoryOp, xen.XENMEM_remove_from_physmap, p.Struct(&xen.RemoveFromPhysmap{DomID: self, GPFN: uint64(a >> 12)}))
	again := p.Call(memoryOp, xen.XENMEM_remove_from_physmap, p.Struct(&xen.RemoveFromPhysmap{DomID: self, GPFN: uint64(a >> 12)}))
	entries := p.NewPage()
	arg := p.Struct(&xen.MemoryMap{NrEntries: 100, Buffer: uint64(entries)})
	e820 := p.Call(memoryOp, xen.XENMEM_memory_map, arg)
	return func(g *guest32) {
		g.is("pages given back", down, 2)
		g.is("pages taken", up, 2)
		g.ok("calls", r, errs, gone, e820)
		g.fails("a frame that is none", errs+4, xen.EINVAL)
		g.fails("no frame", invalid, xen.EINVAL)
		g.fails("remove again", again, xen.ENOENT)
		g.is("the page that moved", c, 0x1234)
		var m xen.MemoryMap
		if g.read(arg, &m); m.NrEntries < 2 || m.NrEntries > 16 {
			g.t.Errorf("%d entries", m.NrEntries)
		}
		if typ := g.word(entries + 16); typ != 1 || g.word(entries) != 0 {
			g.t.Errorf("first entry from %#x of type %d", g.word(entries), typ)
		}
	}
}

func multicall32(p *abi32.Prog) func(*guest32) {
	const size = 32
	list := func(es ...xen.MulticallEntry) abi32.Addr {
		at := p.Words(size / 4 * len(es))
		for i := range es {
			p.SetBytes(at+abi32.Addr(size*i), xen.Encode(xen.ABI32, &es[i]))
		}
		return at
	}
	v := xen.MulticallEntry{Op: xen.HYPERVISOR_xen_version, Args: [6]uint64{xen.XENVER_version}}
	a := list(v, xen.MulticallEntry{Op: xen.HYPERVISOR_multicall}, xen.MulticallEntry{Op: 63}, xen.MulticallEntry{Op: xen.HYPERVISOR_sched_op}, v)
	r := p.Call(xen.HYPERVISOR_multicall, a, 5)
	many := make([]xen.MulticallEntry, 300)
	for i := range many {
		many[i] = v
	}
	b := list(many...)
	r2 := p.Call(xen.HYPERVISOR_multicall, b, 300)
	fault := p.Call(xen.HYPERVISOR_multicall, 0xfe000000, 1)
	return func(g *guest32) {
		g.ok("multicall", r, r2)
		result := func(list, i abi32.Addr) abi32.Addr { return list + size*i + 4 }
		g.is("version", result(a, 0), 4<<16|17)
		g.fails("a multicall inside", result(a, 1), xen.EINVAL)
		g.fails("number 63", result(a, 2), xen.ENOSYS)
		g.ok("yield", result(a, 3))
		g.is("the last version", result(a, 4), 4<<16|17)
		for i := range abi32.Addr(300) {
			if g.word(result(b, i)) != 4<<16|17 {
				g.t.Fatalf("entry %d of 300 was not done", i)
			}
		}
		g.fails("an unreadable list", fault, xen.EFAULT)
	}
}

// grants32: the list of frames has 32-bit words, and the struct of a copy is 24 bytes long.
func grants32(p *abi32.Prog) func(*guest32) {
	list := p.Bytes([]byte("................"))
	setup := p.Struct(&xen.GnttabSetupTable{Dom: self, NrFrames: 2, FrameList: uint64(list)})
	r := []abi32.Addr{p.Call(grantOp, xen.GNTTABOP_setup_table, setup, 1)}
	table, src, dst, at := p.NewPage(), p.NewPage(), p.NewPage(), p.NewPage()
	r = append(r, p.Call(memoryOp, xen.XENMEM_add_to_physmap, p.Struct(&xen.AddToPhysmap{DomID: self, Space: xen.XENMAPSPACE_grant_table, GPFN: uint64(table >> 12)})))
	p.SetBytes(src, []byte("granted!"))
	p.MovI(asm.RAX, 0x40000004)
	p.MovI(asm.RCX, 0)
	p.Cpuid()
	dom := p.Keep(asm.RCX)
	p.Load(4, asm.RAX, p.Mem(dom))
	p.Shl(4, asm.RAX, 16)
	p.OpI(asm.OR, 4, asm.RAX, xen.GTF_permit_access)
	p.Store(4, p.Mem(table+9*8), asm.RAX)
	p.Set(table+9*8+4, src>>12)
	copyOp := p.Struct(&xen.GnttabCopy{Source: 9, SourceOffset: 1, Dest: uint64(dst >> 12), DestDom: self, Len: 7, Flags: xen.GNTCOPY_source_gref})
	p.Copy(copyOp+4, dom) // the domid; and the offset with it
	p.MovI(asm.RAX, 1)
	p.Store(2, p.Mem(copyOp+6), asm.RAX)
	r = append(r, p.Call(grantOp, xen.GNTTABOP_copy, copyOp, 1))
	mapOp := p.Struct(&xen.GnttabMapGrantRef{HostAddr: uint64(at), Flags: xen.GNTMAP_host_map, Ref: 9})
	p.Load(4, asm.RAX, p.Mem(dom))
	p.Store(2, p.Mem(mapOp+16), asm.RAX)
	r = append(r, p.Call(grantOp, xen.GNTTABOP_map_grant_ref, mapOp, 1))
	seen := p.Words(1)
	p.Copy(seen, at)
	return func(g *guest32) {
		g.ok("calls", r...)
		if g.word(list+8) != 0x2e2e2e2e || g.word(list+4) == 0x2e2e2e2e {
			g.t.Errorf("frame list %q", g.bytes(uint64(list), 16))
		}
		var c xen.GnttabCopy
		if g.read(copyOp, &c); c.Status != xen.GNTST_okay || string(g.bytes(uint64(dst), 7)) != "ranted!" {
			g.t.Errorf("copy: status %d, %q", c.Status, g.bytes(uint64(dst), 8))
		}
		var m xen.GnttabMapGrantRef
		if g.read(mapOp, &m); m.Status != xen.GNTST_okay || g.word(seen) != 0x6e617267 {
			g.t.Errorf("map: status %d, read %#x", m.Status, g.word(seen))
		}
	}
}

// addresses32: arguments are read through the guest's tables, and need not be where memory is.
func addresses32(p *abi32.Prog) func(*guest32) {
	features := p.Struct(&xen.FeatureInfo{})
	r := p.Call(xen.HYPERVISOR_xen_version, xen.XENVER_get_features, abi32.High(features))
	page := p.NewPage()
	end := page + 0xffc // the struct lies across two pages of the first, small ones
	r2 := p.Call(xen.HYPERVISOR_xen_version, xen.XENVER_get_features, abi32.High(end))
	hole := p.Call(xen.HYPERVISOR_xen_version, xen.XENVER_get_features, 0xfd000000)
	return func(g *guest32) {
		g.ok("calls", r, r2)
		g.is("features", features+4, 0x00012305)
		g.is("features across pages", end+4, 0x00012305)
		g.fails("where no memory is", hole, xen.EFAULT)
	}
}
