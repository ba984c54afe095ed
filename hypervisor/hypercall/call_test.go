package hypercall

import (
	"testing"

	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

func TestCall_userModeIsRefused(t *testing.T) {
	g := newGuest(t)
	g.regs = [16]uint64{x86.RAX: xen.HYPERVISOR_xen_version}
	for cpl := uint8(1); cpl < 4; cpl++ {
		g.regs[x86.RAX] = xen.HYPERVISOR_xen_version
		Call(g.d, g.v, &g.regs, true, cpl)
		g.want("cpl", g.regs[x86.RAX], neg(xen.EPERM))
	}
}

func TestCall_unknownIsENOSYSandCounted(t *testing.T) {
	g := newGuest(t)
	for _, nr := range []uint64{11, 43, 63, 64, 1000, 1 << 40, xen.HYPERVISOR_mmu_update, xen.HYPERVISOR_iret, xen.HYPERVISOR_physdev_op} {
		g.want("result", g.call(nr, xen.PHYSDEVOP_eoi, argAt), neg(xen.ENOSYS))
	}
	sum := g.d.Hypercalls()
	if sum[11][0] != 1 || sum[63][0] != 4 || sum[xen.HYPERVISOR_physdev_op][xen.PHYSDEVOP_eoi] != 1 {
		t.Errorf("counts: %d %d", sum[11][0], sum[63][0])
	}
	g.want("domctl", g.call(xen.HYPERVISOR_domctl, argAt), neg(xen.EPERM))
	g.want("argo", g.call(xen.HYPERVISOR_argo_op), neg(xen.EOPNOTSUPP))
}

func TestCall_32bitABI(t *testing.T) {
	g := newGuest(t)
	g.long = false
	g.put(argAt, uint16(xen.DOMID_SELF), uint16(0), uint32(0))
	g.regs[x86.RCX] = 0xdead << 32 // must not count
	g.want("alloc_unbound", g.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_alloc_unbound, argAt|0xff<<32), 0)
	if p := g.u32(argAt + 4); p != 1 {
		t.Errorf("port %d", p)
	}
	g.want("bad", g.call(xen.HYPERVISOR_event_channel_op, 99), neg(xen.ENOSYS)&0xffffffff)
	// add_to_physmap in the 32-bit layout: domid, size, space, idx, gpfn
	g.put(argAt, uint16(xen.DOMID_SELF), uint16(0), uint32(xen.XENMAPSPACE_shared_info), uint32(0), uint32(0x123))
	g.want("add_to_physmap", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_add_to_physmap, argAt), 0)
	if g.d.SharedAt() != 0x123 {
		t.Errorf("shared info at %#x", g.d.SharedAt())
	}
	// set_timer_op takes the timeout in two registers
	g.want("set_timer_op", g.call(xen.HYPERVISOR_set_timer_op, 0x1000, 1), 0)
	if d := g.v.NextDeadline(); d != 1<<32|0x1000 {
		t.Errorf("deadline %#x", d)
	}
}

func TestCall_doesNotAllocate(t *testing.T) {
	g := newGuest(t)
	g.put(argAt, uint32(1))
	g.want("bind_ipi", g.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_bind_ipi, argAt), 0)
	port := g.u32(argAt + 4)
	g.put(argAt, port)
	g.put(argAt+64, uint64(1<<40), uint32(0))
	g.put(argAt+128, uint32(0), uint32(0))
	for name, f := range map[string]func(){
		"send":      func() { g.one(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_send, argAt, 0) },
		"unmask":    func() { g.one(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_unmask, argAt, 0) },
		"timer":     func() { g.one(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_set_singleshot_timer, 0, argAt+64) },
		"version":   func() { g.one(xen.HYPERVISOR_xen_version, 0, 0, 0) },
		"features":  func() { g.one(xen.HYPERVISOR_xen_version, xen.XENVER_get_features, argAt+128, 0) },
		"yield":     func() { g.one(xen.HYPERVISOR_sched_op, xen.SCHEDOP_yield, 0, 0) },
		"runstate":  func() { g.one(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_get_runstate_info, 0, argAt+256) },
		"set_timer": func() { g.one(xen.HYPERVISOR_set_timer_op, 1<<40, 0, 0) },
		"expire":    func() { g.v.Expire(g.v.Now()) },
		"upcall":    func() { g.v.CallbackVector(); g.v.TakeUpcallVector(); g.v.NextDeadline(); g.v.UpdateTime() },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// one is call without the variadic slice.
func (g *guest) one(nr, a, b, c uint64) {
	g.regs[x86.RAX], g.regs[x86.RDI], g.regs[x86.RSI], g.regs[x86.RDX] = nr, a, b, c
	Call(g.d, g.v, &g.regs, true, 0)
}

func BenchmarkCall_send(b *testing.B) {
	g := newGuest(b)
	g.put(argAt, uint32(1))
	g.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_bind_ipi, argAt)
	g.put(argAt, g.u32(argAt+4))
	for b.Loop() {
		g.one(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_send, argAt, 0)
	}
}

func TestMulticall_continuesAndBounds(t *testing.T) {
	g := newGuest(t)
	const n = 3*budget + 7
	for i := range uint64(n) {
		at := listAt + i*64
		g.put(at, uint64(xen.HYPERVISOR_xen_version), uint64(99), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0))
	}
	g.put(listAt+64, uint64(xen.HYPERVISOR_multicall)) // nesting is refused
	g.call(xen.HYPERVISOR_multicall, listAt, n)
	if !g.res.Again || g.regs[x86.RAX] != xen.HYPERVISOR_multicall {
		t.Fatalf("no continuation: %+v rax %#x", g.res, g.regs[x86.RAX])
	}
	ret, conts := g.finish()
	g.want("multicall", ret, 0)
	if conts != 3 {
		t.Errorf("%d continuations", conts)
	}
	for i := range uint64(n) {
		want := uint64(4<<16 | 17)
		if i == 1 {
			want = neg(xen.EINVAL)
		}
		if got := g.u64(listAt + i*64 + 8); got != want {
			t.Fatalf("entry %d: %#x", i, got)
		}
	}
	g.want("bad list", g.call(xen.HYPERVISOR_multicall, unmap, 1), neg(xen.EFAULT))
}

func TestMulticall_keepsProgressOfAnEntry(t *testing.T) {
	g := newGuest(t)
	const pages = 2*budget + 5
	for i := range uint64(pages) {
		g.put(listAt+8*i, uint64(0x400+i))
	}
	g.put(argAt, uint64(listAt), uint64(pages), uint32(0), uint32(0), uint16(xen.DOMID_SELF))
	entry := uint64(argAt + 0x100)
	g.put(entry, uint64(xen.HYPERVISOR_memory_op), uint64(0), uint64(xen.XENMEM_decrease_reservation), uint64(argAt),
		uint64(0), uint64(0), uint64(0), uint64(0))
	before := g.d.Pages()
	g.call(xen.HYPERVISOR_multicall, entry, 1)
	ret, conts := g.finish()
	g.want("multicall", ret, 0)
	g.want("extents", g.u64(entry+8), pages)
	if conts < 2 || before-g.d.Pages() != pages {
		t.Errorf("%d continuations, %d pages gone", conts, before-g.d.Pages())
	}
}

func TestMulticall_yieldsInTheMiddle(t *testing.T) {
	g := newGuest(t)
	g.put(listAt, uint64(xen.HYPERVISOR_sched_op), uint64(9), uint64(xen.SCHEDOP_yield), [40]byte{})
	g.put(listAt+64, uint64(xen.HYPERVISOR_xen_version), [56]byte{})
	g.call(xen.HYPERVISOR_multicall, listAt, 2)
	if !g.res.Again || !g.res.Yield {
		t.Fatalf("%+v", g.res)
	}
	ret, _ := g.finish()
	g.want("multicall", ret, 0)
	g.want("second", g.u64(listAt+64+8), 4<<16|17)
}

func TestPage_entries(t *testing.T) {
	p := Page([]byte(VMMCALL))
	want := []byte{0xb8, 29, 0, 0, 0, 0x0f, 0x01, 0xd9, 0xc3}
	if string(p[29*32:29*32+9]) != string(want) {
		t.Errorf("% x", p[29*32:29*32+9])
	}
	if p[23*32] != 0x0f || p[23*32+1] != 0x0b {
		t.Error("iret does not trap")
	}
	if p[127*32] != 0xb8 || p[127*32+1] != 127 {
		t.Error("last entry")
	}
}

func TestTable_supportedAnswersSomething(t *testing.T) {
	for nr, r := range table {
		if (r.handler == nil) == (r.support == Supported || r.support == Partial) {
			t.Errorf("%d %s: support %v, handler %v", nr, r.name, r.support, r.handler != nil)
		}
		for _, s := range r.subs {
			g := newGuest(t)
			got := g.call(uint64(nr), s.nr, argAt, argAt)
			switch nr { // these take the argument elsewhere
			case xen.HYPERVISOR_vcpu_op:
				got = g.call(uint64(nr), s.nr, 0, argAt)
			case xen.HYPERVISOR_grant_table_op:
				got = g.call(uint64(nr), s.nr, argAt, 1)
			case xen.HYPERVISOR_vm_assist:
				got = g.call(uint64(nr), s.nr, xen.VMASST_TYPE_runstate_update_flag)
			}
			if got == neg(xen.ENOSYS) != (s.support == None) && s.nr != xen.EVTCHNOP_set_priority {
				t.Errorf("%s/%s says %v but answers %d", r.name, s.name, s.support, int64(got))
			}
		}
	}
	if Name(32) != "event_channel_op" || SubName(32, 4) != "send" || Name(999) != "" || SubName(32, 99) != "" {
		t.Error("names")
	}
}
