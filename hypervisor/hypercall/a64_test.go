package hypercall

import (
	"testing"
	"time"

	"gozen/hypervisor/domain"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// newA64 makes an arm64 guest; call and finish of the returned value go through CallA64.
func newA64(t testing.TB) *guest {
	t.Helper()
	m, err := guestmem.New([]guestmem.Range{{Base: 0, Size: ramSize}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	g := &guest{t: t, src: &testSource{}}
	g.src.ns.Store(1000)
	g.d, err = domain.New(domain.Config{ID: 7, Memory: m, VCPUs: 2, FIFO: true, ABI: xen.ABIA64, Source: g.src,
		Wall: time.Unix(1_700_000_000, 5000), Console: &g.console, OnShutdown: func(s domain.Shutdown) { g.ended = append(g.ended, s) }})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range g.d.VCPUs {
		v.Virt = flat{m}
	}
	g.v = g.d.VCPUs[0]
	g.v.BringUp()
	return g
}

func (g *guest) a64(nr uint64, args ...uint64) uint64 {
	var x [6]uint64
	copy(x[:], args)
	for n := 0; ; n++ {
		g.res = CallA64(g.d, g.v, nr, &x)
		if !g.res.Again {
			return x[0]
		}
		if n > 10000 {
			g.t.Fatal("does not end")
		}
	}
}

func TestA64_whatExists(t *testing.T) {
	g := newA64(t)
	for nr := range uint64(64) {
		got := g.a64(nr, 0xffff, argAt)
		want := neg(xen.ENOSYS)
		switch nr {
		case xen.HYPERVISOR_platform_op, xen.HYPERVISOR_sysctl, xen.HYPERVISOR_domctl, xen.HYPERVISOR_dm_op, xen.HYPERVISOR_hypfs_op:
			want = neg(xen.EPERM)
		case xen.HYPERVISOR_argo_op:
			want = neg(xen.EOPNOTSUPP)
		case xen.HYPERVISOR_multicall:
			want = 0 // of no entries
		case xen.HYPERVISOR_vm_assist, xen.HYPERVISOR_memory_op: // a type and a progress that do not exist
			want = neg(xen.EINVAL)
		case xen.HYPERVISOR_vcpu_op:
			got, want = g.a64(nr, 0xffff, 0, argAt), neg(xen.EINVAL)
		}
		if nr == xen.HYPERVISOR_multicall {
			got = g.a64(nr, argAt, 0)
		}
		g.want(tableA64[nr].name, got, want)
	}
	g.want("number out of range", g.a64(64), neg(xen.ENOSYS))
	g.want("number out of range", g.a64(1<<40), neg(xen.ENOSYS))
}

func TestA64_x86OnlyOperationsAreRefused(t *testing.T) {
	g := newA64(t)
	for _, op := range []uint64{xen.VCPUOP_initialise, xen.VCPUOP_up, xen.VCPUOP_down, xen.VCPUOP_is_up, xen.VCPUOP_get_runstate_info,
		xen.VCPUOP_set_periodic_timer, xen.VCPUOP_set_singleshot_timer, xen.VCPUOP_send_nmi, xen.VCPUOP_register_vcpu_time_memory_area} {
		g.want("vcpu_op", g.a64(xen.HYPERVISOR_vcpu_op, op, 0, argAt), neg(xen.EINVAL))
	}
	g.want("vcpu_op", g.a64(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_register_vcpu_info, 2, argAt), neg(xen.ENOENT))
	for _, op := range []uint64{xen.HVMOP_set_evtchn_upcall_vector, xen.HVMOP_flush_tlbs, xen.HVMOP_get_time, xen.HVMOP_get_mem_type, xen.HVMOP_pagetable_dying} {
		g.want("hvm_op", g.a64(xen.HYPERVISOR_hvm_op, op, argAt), neg(xen.ENOSYS))
	}
	g.want("memory_map", g.a64(xen.HYPERVISOR_memory_op, xen.XENMEM_memory_map, argAt), neg(xen.ENOSYS))
	g.put(argAt, uint16(xen.DOMID_SELF), uint16(0), uint32(xen.XENMAPSPACE_gmfn), uint64(5), uint64(6))
	g.want("gmfn", g.a64(xen.HYPERVISOR_memory_op, xen.XENMEM_add_to_physmap, argAt), neg(xen.ENOSYS))
}

func TestA64_versionAndFeatures(t *testing.T) {
	g := newA64(t)
	g.want("version", g.a64(xen.HYPERVISOR_xen_version, xen.XENVER_version, 0), 4<<16|17)
	g.put(argAt, uint32(0), uint32(0))
	g.want("get_features", g.a64(xen.HYPERVISOR_xen_version, xen.XENVER_get_features, argAt), 0)
	if f := g.u32(argAt + 4); f != 0x16005 {
		t.Errorf("features %#x", f)
	}
	g.want("capabilities", g.a64(xen.HYPERVISOR_xen_version, xen.XENVER_capabilities, argAt), 0)
	if s := string(g.bytes(argAt, 17)); s != "xen-3.0-aarch64 \x00" {
		t.Errorf("capabilities %q", s)
	}
	g.want("platform_parameters", g.a64(xen.HYPERVISOR_xen_version, xen.XENVER_platform_parameters, argAt), 0)
	if v := g.u64(argAt); v != 0x200000 {
		t.Errorf("virt_start %#x", v)
	}
}

func TestA64_params(t *testing.T) {
	g := newA64(t)
	g.d.SetParam(xen.HVM_PARAM_STORE_EVTCHN, 1)
	g.d.SetParam(xen.HVM_PARAM_CALLBACK_IRQ, 2<<56|0x21f)
	get := func(i uint32) (ret, v uint64) {
		g.put(argAt, uint16(xen.DOMID_SELF), uint16(0), i, uint64(0))
		ret = g.a64(xen.HYPERVISOR_hvm_op, xen.HVMOP_get_param, argAt)
		return ret, g.u64(argAt + 8)
	}
	for i, want := range map[uint32]uint64{xen.HVM_PARAM_STORE_EVTCHN: 1, xen.HVM_PARAM_CALLBACK_IRQ: 2<<56 | 0x21f} {
		ret, v := get(i)
		g.want("get_param", ret, 0)
		g.want("value", v, want)
		g.want("set_param", g.a64(xen.HYPERVISOR_hvm_op, xen.HVMOP_set_param, argAt), neg(xen.EPERM))
	}
	ret, _ := get(xen.HVM_PARAM_MONITOR_RING_PFN)
	g.want("monitor ring", ret, neg(xen.EPERM))
	ret, _ = get(xen.HVM_PARAM_IDENT_PT)
	g.want("ident pt", ret, neg(xen.EINVAL))
}

// TestA64_events boots the shared pages as Linux does, and sends an event to itself.
func TestA64_events(t *testing.T) {
	g := newA64(t)
	raised := [2]int{}
	for i, v := range g.d.VCPUs {
		v.Raise = func() { raised[i]++ }
	}
	const shared, info0, info1 = 0x100, 0x200000, 0x200040
	g.put(argAt, uint16(xen.DOMID_SELF), uint16(0), uint32(xen.XENMAPSPACE_shared_info), uint64(0), uint64(shared))
	g.want("shared_info", g.a64(xen.HYPERVISOR_memory_op, xen.XENMEM_add_to_physmap, argAt), 0)
	if sec := g.u32(shared<<12 + 1076); sec != 1_700_000_000 {
		t.Errorf("wall clock %d s", sec)
	}
	g.put(argAt, uint64(info0>>12), uint32(0), uint32(0))
	g.want("register_vcpu_info", g.a64(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_register_vcpu_info, 0, argAt), 0)
	if raised[0] != 1 || g.u64(info0) != 1 || g.u64(info0+8) != ^uint64(0) || g.u64(info0+16) != 0 {
		t.Errorf("%d upcalls; vcpu_info % x", raised[0], g.bytes(info0, 48))
	}
	g.put(argAt, uint64(info1>>12), uint32(info1&0xfff), uint32(0))
	g.want("register_vcpu_info of the other", g.a64(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_register_vcpu_info, 1, argAt), 0)
	if g.u64(info1) != 1 { // there is no mask
		t.Errorf("vcpu_info % x", g.bytes(info1, 48))
	}
	g.put(argAt, uint64(0x300), uint32(4096-40), uint32(0))
	g.want("vcpu_info across a page", g.a64(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_register_vcpu_info, 0, argAt), neg(xen.ENXIO))
	g.put(info1, uint64(0), uint64(0)) // the guest takes the upcall
	g.put(argAt, uint32(1))
	g.want("bind_ipi", g.a64(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_bind_ipi, argAt), 0)
	port := g.u32(argAt + 4)
	g.put(argAt, port)
	g.want("send", g.a64(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_send, argAt), 0)
	if raised[1] != 2 || g.u64(info1) != 1 || g.u64(info1+8) != 1 || g.u64(shared<<12+48) != 1<<port {
		t.Errorf("%d upcalls, vcpu_info % x, pending %#x", raised[1], g.bytes(info1, 16), g.u64(shared<<12+48))
	}
}

func TestA64_multicallAndBlock(t *testing.T) {
	g := newA64(t)
	g.put(listAt, uint64(xen.HYPERVISOR_xen_version), uint64(9), uint64(xen.XENVER_version), [40]byte{},
		uint64(xen.HYPERVISOR_sched_op), uint64(9), uint64(xen.SCHEDOP_block), [40]byte{})
	g.want("multicall", g.a64(xen.HYPERVISOR_multicall, listAt, 2), 0)
	g.want("first", g.u64(listAt+8), 4<<16|17)
	g.want("second", g.u64(listAt+64+8), 0)
	g.want("block", g.a64(xen.HYPERVISOR_sched_op, xen.SCHEDOP_block), 0)
	if g.res.Block {
		t.Error("a vCPU waits outside the guest for interrupts that it cannot see there")
	}
}

func TestA64_doesNotAllocate(t *testing.T) {
	g := newA64(t)
	g.put(argAt, uint32(1))
	g.want("bind_ipi", g.a64(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_bind_ipi, argAt), 0)
	g.put(argAt, g.u32(argAt+4))
	var x [6]uint64
	if n := testing.AllocsPerRun(100, func() {
		x = [6]uint64{xen.EVTCHNOP_send, argAt}
		CallA64(g.d, g.v, xen.HYPERVISOR_event_channel_op, &x)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCallA64(f *testing.F) {
	f.Add(uint64(xen.HYPERVISOR_memory_op), uint64(7), uint64(argAt), uint64(0), []byte{1})
	g := newA64(f)
	f.Fuzz(func(t *testing.T, nr, a, b, c uint64, mem []byte) {
		_ = g.d.Memory.Write(argAt, mem[:min(len(mem), 4096)])
		x := [6]uint64{a, b, c}
		for range 100 {
			if r := CallA64(g.d, g.v, nr, &x); !r.Again {
				break
			}
		}
		g.v.EndPoll()
	})
}
