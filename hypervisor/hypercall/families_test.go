package hypercall

import (
	"bytes"
	"testing"

	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

const self = uint16(xen.DOMID_SELF)

func TestXenVersion_answers(t *testing.T) {
	g := newGuest(t)
	ver := func(cmd, va uint64) uint64 { return g.call(xen.HYPERVISOR_xen_version, cmd, va) }
	g.want("version", ver(xen.XENVER_version, 0), 4<<16|17)
	g.want("pagesize", ver(xen.XENVER_pagesize, 0), 4096)
	g.want("pagesize arg", ver(xen.XENVER_pagesize, argAt), neg(xen.EINVAL))
	g.want("capabilities", ver(xen.XENVER_capabilities, argAt), 0)
	if got := string(bytes.TrimRight(g.bytes(argAt, 1024), "\x00")); got != "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 " {
		t.Errorf("%q", got)
	}
	g.want("extraversion", ver(xen.XENVER_extraversion, argAt), 0)
	if got := string(g.bytes(argAt, 9)); got != ".0-gozen\x00" {
		t.Errorf("%q", got)
	}
	g.put(argAt, uint32(0), uint32(0))
	g.want("features", ver(xen.XENVER_get_features, argAt), 0)
	if f := g.u32(argAt + 4); f != 0x00012305 {
		t.Errorf("features %08x", f)
	}
	g.put(argAt, uint32(1))
	g.want("submap 1", ver(xen.XENVER_get_features, argAt), neg(xen.EINVAL))
	g.want("handle", ver(xen.XENVER_guest_handle, argAt), 0)
	if !bytes.Equal(g.bytes(argAt, 16), g.d.UUID[:]) {
		t.Error("uuid")
	}
	g.want("commandline", ver(xen.XENVER_commandline, argAt), 0)
	if string(g.bytes(argAt, 9)) != "<denied>\x00" {
		t.Error("commandline")
	}
	g.want("build id", ver(xen.XENVER_build_id, 0), neg(xen.EPERM))
	g.want("platform", ver(xen.XENVER_platform_parameters, argAt), 0)
	if g.u64(argAt) != 0xffff800000000000 {
		t.Error("virt_start")
	}
	g.want("fault", ver(xen.XENVER_changeset, unmap), neg(xen.EFAULT))
	g.want("none", ver(77, argAt), neg(xen.ENOSYS))
}

func TestMemoryOp_sharedInfoReplacesRAM(t *testing.T) {
	g := newGuest(t)
	before := g.d.Pages()
	g.put(0x5000, uint64(0x1234))
	g.put(argAt, self, uint16(0), uint32(xen.XENMAPSPACE_shared_info), uint64(0), uint64(5))
	g.want("add", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_add_to_physmap, argAt), 0)
	if g.u64(0x5000) == 0x1234 || g.d.Pages() != before-1 {
		t.Errorf("pages %d, was %d", g.d.Pages(), before)
	}
	if sec := g.u32(0x5000 + 3076); sec != 1_700_000_000-0 && sec != 1_699_999_999 {
		t.Errorf("wall clock %d", sec)
	}
	// Moving it leaves a hole behind.
	g.put(argAt, self, uint16(0), uint32(xen.XENMAPSPACE_shared_info), uint64(0), uint64(6))
	g.want("move", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_add_to_physmap, argAt), 0)
	if g.d.Memory.HostPage(5) != nil || g.d.SharedAt() != 6 {
		t.Error("old place still mapped")
	}
	g.put(argAt, self, [6]byte{}, uint64(6))
	g.want("remove", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_remove_from_physmap, argAt), 0)
	g.want("again", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_remove_from_physmap, argAt), neg(xen.ENOENT))
}

func TestMemoryOp_addErrors(t *testing.T) {
	g := newGuest(t)
	for _, x := range []struct {
		name      string
		dom       uint16
		space     uint32
		idx, gpfn uint64
		want      xen.Errno
	}{
		{"domain 0", 0, 0, 0, 5, xen.EPERM}, {"other", 9, 0, 0, 5, xen.ESRCH}, {"own id", 7, 0, 0, 5, 0},
		{"index", self, 0, 1, 5, xen.EINVAL}, {"grant index", self, 1, 64, 5, xen.EINVAL}, {"grant", self, 1, 63, 5, 0},
		{"invalid frame", self, 0, 0, ^uint64(0), xen.EINVAL}, {"far frame", self, 0, 0, 1 << 40, xen.EINVAL},
		{"foreign", self, 4, 0, 5, xen.ENOSYS}, {"mmio", self, 5, 0, 5, xen.EACCES}, {"space", self, 99, 0, 5, xen.EINVAL},
		{"gmfn hole", self, 2, 0x90000, 5, xen.EINVAL},
	} {
		g.put(argAt, x.dom, uint16(0), x.space, x.idx, x.gpfn)
		g.want(x.name, g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_add_to_physmap, argAt), x.want.Ret())
	}
	g.want("fault", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_add_to_physmap, unmap), neg(xen.EFAULT))
	g.want("start", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_memory_map|1<<6, argAt), neg(xen.EINVAL))
}

func TestMemoryOp_gmfnMovesContent(t *testing.T) {
	g := newGuest(t)
	g.put(0x400000, uint64(0x1122334455667788))
	before := g.d.Pages()
	g.put(argAt, self, uint16(0), uint32(xen.XENMAPSPACE_gmfn), uint64(0x400), uint64(0x500))
	g.want("move", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_add_to_physmap, argAt), 0)
	if g.u64(0x500000) != 0x1122334455667788 || g.d.Memory.HostPage(0x400) != nil || g.d.Pages() != before-1 {
		t.Errorf("%#x, pages %d of %d", g.u64(0x500000), g.d.Pages(), before)
	}
	g.put(argAt, self, uint16(200), uint32(xen.XENMAPSPACE_gmfn_range), uint64(0x600), uint64(0x800))
	g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_add_to_physmap, argAt)
	ret, n := g.finish()
	g.want("range", ret, 0)
	if n < 2 || g.d.Memory.HostPage(0x600+199) != nil || g.d.Memory.HostPage(0x800+199) == nil {
		t.Errorf("%d continuations", n)
	}
}

func TestMemoryOp_balloon(t *testing.T) {
	g := newGuest(t)
	const n = 3 * budget
	before := g.d.Pages()
	for i := range uint64(n) {
		g.put(listAt+8*i, uint64(0x400+i))
		g.put((0x400+i)<<12, uint64(0xdead))
	}
	g.put(argAt, uint64(listAt), uint64(n), uint32(0), uint32(0), self)
	g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_decrease_reservation, argAt)
	ret, conts := g.finish()
	g.want("decrease", ret, n)
	if conts != 2 || g.d.Pages() != before-n || g.d.Memory.HostPage(0x400) != nil {
		t.Errorf("%d continuations, %d pages", conts, g.d.Pages())
	}
	g.put(argAt+0x100, self)
	g.want("current", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_current_reservation, argAt+0x100), before-n)
	g.want("maximum", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_maximum_reservation, argAt+0x100), before)
	g.want("gpfn", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_maximum_gpfn, argAt+0x100), ramSize/4096-1)
	g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_populate_physmap, argAt)
	ret, _ = g.finish()
	g.want("populate", ret, n)
	if g.d.Pages() != before || g.u64(0x400000) != 0 {
		t.Errorf("%d pages, content %#x", g.d.Pages(), g.u64(0x400000))
	}
	g.put(listAt, uint64(0x100000))
	g.put(argAt, uint64(listAt), uint64(1), uint32(0), uint32(0), self)
	g.want("beyond maximum", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_populate_physmap, argAt), 0)
	g.put(argAt, uint64(listAt), uint64(1), uint32(10), uint32(0), self)
	g.want("order", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_populate_physmap, argAt), 0)
	g.put(argAt, uint64(listAt), uint64(1), uint32(0), uint32(0), uint16(3))
	g.want("domain", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_decrease_reservation, argAt), 0)
	g.want("increase", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_increase_reservation, argAt), 0)
}

func TestMemoryOp_memoryMap(t *testing.T) {
	g := newGuest(t)
	g.put(argAt, uint32(1), uint32(0), uint64(listAt))
	g.want("short", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_memory_map, argAt), 0)
	if g.u32(argAt) != 1 || g.u64(listAt+8) != 0xa0000 {
		t.Error("one entry")
	}
	g.put(argAt, uint32(128), uint32(0), uint64(listAt))
	g.want("all", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_memory_map, argAt), 0)
	if g.u32(argAt) != 2 || g.u64(listAt+20) != 0x100000 || g.u32(listAt+36) != 1 {
		t.Errorf("%d entries, second at %#x", g.u32(argAt), g.u64(listAt+20))
	}
	g.put(argAt, uint32(128), uint32(0), uint64(unmap))
	g.want("fault", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_memory_map, argAt), neg(xen.EFAULT))
}

func TestMemoryOp_batch(t *testing.T) {
	g := newGuest(t)
	const n = budget + 3
	idxs, gpfns, errs := uint64(listAt), uint64(listAt+0x1000), uint64(listAt+0x2000)
	for i := range uint64(n) {
		g.put(idxs+8*i, i)
		g.put(gpfns+8*i, 0x700+i)
		g.put(errs+4*i, uint32(99))
	}
	g.put(argAt, self, uint16(xen.XENMAPSPACE_grant_table), uint16(n), uint16(0), idxs, gpfns, errs)
	g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_add_to_physmap_batch, argAt)
	ret, conts := g.finish()
	g.want("batch", ret, 0)
	if conts != 1 || g.u32(errs) != 0 || int32(g.u32(errs+4*64)) != -int32(xen.EINVAL) {
		t.Errorf("%d continuations, errs %d %d", conts, g.u32(errs), int32(g.u32(errs+4*64)))
	}
	if g.d.Grants.FrameAt(63) != 0x700+63 {
		t.Error("frame 63")
	}
}

func TestHVMOp_params(t *testing.T) {
	g := newGuest(t)
	g.d.SetParam(xen.HVM_PARAM_STORE_PFN, 0xfeffc)
	param := func(op, index uint64, value uint64) uint64 {
		g.put(argAt, self, uint16(0), uint32(index), value)
		return g.call(xen.HYPERVISOR_hvm_op, op, argAt)
	}
	g.want("get store", param(xen.HVMOP_get_param, xen.HVM_PARAM_STORE_PFN, 0), 0)
	if g.u64(argAt+8) != 0xfeffc {
		t.Error("store pfn")
	}
	for _, x := range []struct {
		op, index, value uint64
		want             xen.Errno
	}{
		{xen.HVMOP_set_param, xen.HVM_PARAM_STORE_PFN, 1, xen.EPERM}, {xen.HVMOP_get_param, xen.HVM_PARAM_IDENT_PT, 0, xen.EPERM},
		{xen.HVMOP_set_param, xen.HVM_PARAM_PAE_ENABLED, 1, xen.EINVAL}, {xen.HVMOP_get_param, xen.HVM_NR_PARAMS, 0, xen.EINVAL},
		{xen.HVMOP_set_param, xen.HVM_NR_PARAMS, 0, xen.EINVAL}, {xen.HVMOP_set_param, 3, 0, xen.EPERM},
		{xen.HVMOP_set_param, xen.HVM_PARAM_X87_FIP_WIDTH, 5, xen.EINVAL}, {xen.HVMOP_set_param, xen.HVM_PARAM_X87_FIP_WIDTH, 8, 0},
		{xen.HVMOP_set_param, xen.HVM_PARAM_CALLBACK_IRQ, 2<<56 | 0xf3, 0},
	} {
		g.want("param", param(x.op, x.index, x.value), x.want.Ret())
	}
	if u := g.v.Upcall(); u.Callback != 0xf3 || u.Own != 0 {
		t.Errorf("%+v", u)
	}
	g.want("gsi", param(xen.HVMOP_set_param, xen.HVM_PARAM_CALLBACK_IRQ, 1), 0)
	if u := g.v.Upcall(); u.Callback != 0 {
		t.Errorf("%+v", u)
	}
	g.put(argAt, uint16(0), uint16(0), uint32(1), uint64(0))
	g.want("domain 0", g.call(xen.HYPERVISOR_hvm_op, xen.HVMOP_get_param, argAt), neg(xen.EPERM))
	g.want("vm86 tss", param(xen.HVMOP_set_param, xen.HVM_PARAM_VM86_TSS, 1<<32), neg(xen.EINVAL))
	if s, down := g.d.ShutdownState(); !down || s.Reason != xen.SHUTDOWN_crash || s.Text == "" {
		t.Error("an impossible TSS must end the domain")
	}
}

func TestHVMOp_others(t *testing.T) {
	g := newGuest(t)
	hvm := func(op, va uint64) uint64 { return g.call(xen.HYPERVISOR_hvm_op, op, va) }
	g.put(argAt, uint32(1), uint8(0x0f))
	g.want("low vector", hvm(xen.HVMOP_set_evtchn_upcall_vector, argAt), neg(xen.EINVAL))
	g.put(argAt, uint32(2), uint8(0xf3))
	g.want("no vcpu", hvm(xen.HVMOP_set_evtchn_upcall_vector, argAt), neg(xen.ENOENT))
	g.put(argAt, uint32(1), uint8(0xf3))
	g.want("vector", hvm(xen.HVMOP_set_evtchn_upcall_vector, argAt), 0)
	if v, ok := g.d.VCPUs[1].TakeUpcallVector(); !ok || v != 0xf3 || g.kicks[1] == 0 {
		t.Error("setting the vector raises it once")
	}
	if _, ok := g.d.VCPUs[1].TakeUpcallVector(); ok {
		t.Error("twice")
	}
	g.want("time", hvm(xen.HVMOP_get_time, argAt), 0)
	g.want("time", g.u64(argAt), g.v.Now())
	g.put(argAt, self, uint16(9), uint32(0), uint64(4))
	g.want("type", hvm(xen.HVMOP_get_mem_type, argAt), 0)
	if g.bytes(argAt+2, 1)[0] != 0 {
		t.Error("RAM")
	}
	g.put(argAt, self, uint16(9), uint32(0), uint64(1<<30))
	hvm(xen.HVMOP_get_mem_type, argAt)
	if g.bytes(argAt+2, 1)[0] != 2 {
		t.Error("MMIO")
	}
	g.want("flush", hvm(xen.HVMOP_flush_tlbs, 0), 0)
	if !g.d.VCPUs[1].TakeFlush() || g.d.VCPUs[1].TakeFlush() {
		t.Error("flush request")
	}
	g.want("flush arg", hvm(xen.HVMOP_flush_tlbs, 1), neg(xen.EINVAL))
	g.put(argAt, self, [14]byte{})
	g.want("dying", hvm(xen.HVMOP_pagetable_dying, argAt), neg(xen.EINVAL))
	g.want("vm event", hvm(xen.HVMOP_guest_request_vm_event, 0), 0)
	g.put(argAt, uint16(1), uint16(29))
	g.want("trace", hvm(xen.HVMOP_xentrace, argAt), neg(xen.EINVAL))
	g.want("none", hvm(77, argAt), neg(xen.ENOSYS))
}

func TestVCPUOp_timersRaiseVIRQ(t *testing.T) {
	g := newGuest(t)
	op := func(op, id, va uint64) uint64 { return g.call(xen.HYPERVISOR_vcpu_op, op, id, va) }
	g.put(argAt, uint32(xen.VIRQ_TIMER), uint32(0), uint32(0))
	g.want("bind", g.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_bind_virq, argAt), 0)
	g.put(argAt, g.v.Now()+5000, uint32(0), uint32(0))
	g.want("single", op(xen.VCPUOP_set_singleshot_timer, 0, argAt), 0)
	if d := g.v.NextDeadline(); d != g.v.Now()+5000 {
		t.Errorf("deadline %d", d)
	}
	g.v.Expire(g.v.Now())
	if g.v.UpcallPending() {
		t.Error("early")
	}
	g.src.ns.Add(5000)
	g.v.Expire(g.v.Now())
	if !g.v.UpcallPending() || g.v.NextDeadline() != ^uint64(0) {
		t.Error("no event")
	}
	g.want("other vcpu", op(xen.VCPUOP_set_singleshot_timer, 1, argAt), neg(xen.EINVAL))
	g.want("no vcpu", op(xen.VCPUOP_is_up, 2, 0), neg(xen.ENOENT))
	g.put(argAt, uint64(999_999))
	g.want("short period", op(xen.VCPUOP_set_periodic_timer, 1, argAt), neg(xen.EINVAL))
	g.put(argAt, uint64(1_000_000))
	g.want("period", op(xen.VCPUOP_set_periodic_timer, 1, argAt), 0)
	if d := g.d.VCPUs[1].NextDeadline(); d != g.v.Now()+1_000_000 {
		t.Errorf("deadline %d", d)
	}
	g.src.ns.Add(3_500_000)
	g.d.VCPUs[1].Expire(g.v.Now())
	if d := g.d.VCPUs[1].NextDeadline(); d <= g.v.Now() || d > g.v.Now()+1_000_000 {
		t.Errorf("next tick %d at %d", d, g.v.Now())
	}
	g.want("stop", op(xen.VCPUOP_stop_periodic_timer, 1, 0), 0)
	if d := g.d.VCPUs[1].NextDeadline(); d != ^uint64(0) {
		t.Errorf("deadline %d", d)
	}
}

func TestVCPUOp_infoAndAreas(t *testing.T) {
	g := newGuest(t)
	op := func(op, id, va uint64) uint64 { return g.call(xen.HYPERVISOR_vcpu_op, op, id, va) }
	for _, x := range []struct {
		id   uint64
		mfn  uint64
		off  uint32
		want xen.Errno
	}{{0, 0x100, 4096 - 63, xen.ENXIO}, {0, 0x100, 4, xen.ENXIO}, {0, 1 << 30, 0, xen.EINVAL}, {0, 0x100, 0x40, 0}, {0, 0x100, 0x80, xen.EINVAL},
		{1, 0x101, 0, 0}} {
		g.put(argAt, x.mfn, x.off, uint32(0))
		g.want("info", op(xen.VCPUOP_register_vcpu_info, x.id, argAt), x.want.Ret())
	}
	if !g.v.UpcallPending() || g.u64(0x100048) != ^uint64(0) {
		t.Error("everything is marked pending")
	}
	if v := g.u32(0x100040 + 32); v == 0 || v&1 != 0 {
		t.Errorf("time version %d", v)
	}
	if flags := g.bytes(0x100040+32+29, 1)[0]; flags != xen.XEN_PVCLOCK_TSC_STABLE_BIT {
		t.Errorf("time flags %d", flags)
	}
	// Run state, with the update flag asked for.
	g.put(argAt, uint64(0x200000))
	g.want("assist", g.call(xen.HYPERVISOR_vm_assist, xen.VMASST_CMD_enable, xen.VMASST_TYPE_runstate_update_flag), 0)
	g.want("other assist", g.call(xen.HYPERVISOR_vm_assist, xen.VMASST_CMD_enable, 2), neg(xen.EINVAL))
	g.want("runstate", op(xen.VCPUOP_register_runstate_memory_area, 0, argAt), 0)
	g.v.SetRunstate(xen.RUNSTATE_running)
	g.src.ns.Add(1000)
	g.v.SetRunstate(xen.RUNSTATE_blocked)
	if s, in, ran := g.u32(0x200000), g.u64(0x200008), g.u64(0x200010); s != xen.RUNSTATE_blocked || in>>63 != 0 || ran != 1000 {
		t.Errorf("state %d since %#x, ran %d", s, in, ran)
	}
	g.want("get", op(xen.VCPUOP_get_runstate_info, 0, argAt), 0)
	if g.u32(argAt) != xen.RUNSTATE_blocked {
		t.Error("get_runstate_info")
	}
	// Second time area.
	g.put(argAt, uint64(0x201000))
	g.want("time area", op(xen.VCPUOP_register_vcpu_time_memory_area, 0, argAt), 0)
	if v := g.u32(0x201000); v == 0 || v&1 != 0 || g.bytes(0x20101d, 1)[0] != 1 {
		t.Errorf("version %d", v)
	}
	g.want("physid", op(xen.VCPUOP_get_physid, 0, argAt), neg(xen.EINVAL))
	g.want("nmi", op(xen.VCPUOP_send_nmi, 1, 0), 0)
	if !g.d.VCPUs[1].TakeNMI() || g.d.VCPUs[1].TakeNMI() {
		t.Error("nmi")
	}
}

func TestVCPUOp_initialise64(t *testing.T) {
	g := newGuest(t)
	op := func(op, id, va uint64) uint64 { return g.call(xen.HYPERVISOR_vcpu_op, op, id, va) }
	g.want("up before", op(xen.VCPUOP_up, 1, 0), neg(xen.EINVAL))
	ctx := func(rip, cr0, cr4, efer uint64) {
		g.put(argAt, uint32(xen.VCPU_HVM_MODE_64B), uint32(0), [8]uint64{1, 2, 3, 4, 5, 6, 7, 8}, rip, uint64(2), cr0, uint64(0x3000), cr4, efer, [8]byte{})
	}
	for _, x := range []struct {
		rip, cr0, cr4, efer uint64
		want                xen.Errno
	}{{1 << 50, 1<<31 | 1, 0x20, 0x100, xen.EINVAL}, {0, 1, 0x20, 0x100, xen.EINVAL}, {0, 1<<31 | 1, 0, 0x100, xen.EINVAL},
		{0, 1<<31 | 1, 0x20, 0, xen.EINVAL}, {0x1000, 1<<31 | 1, 0x20, 0x100, 0}, {0x1000, 1<<31 | 1, 0x20, 0x100, xen.EEXIST}} {
		ctx(x.rip, x.cr0, x.cr4, x.efer)
		g.want("initialise", op(xen.VCPUOP_initialise, 1, argAt), x.want.Ret())
	}
	g.want("is_up", op(xen.VCPUOP_is_up, 1, 0), 0)
	g.want("up", op(xen.VCPUOP_up, 1, 0), 0)
	g.want("is_up", op(xen.VCPUOP_is_up, 1, 0), 1)
	if len(g.started) != 1 || g.started[0] == nil {
		t.Fatal("not started")
	}
	st := g.started[0]
	if st.RIP != 0x1000 || st.GPR[x86.RAX] != 1 || st.GPR[x86.RDI] != 8 || st.EFER != 0x500 || st.Seg[x86.CS].Attr&x86.AttrL == 0 {
		t.Errorf("%+v", st)
	}
	g.want("down", op(xen.VCPUOP_down, 1, 0), 0)
	g.want("up again", op(xen.VCPUOP_up, 1, 0), 0)
	if len(g.started) != 2 || g.started[1] != nil {
		t.Error("a second start goes on where it was")
	}
	g.want("down 1", op(xen.VCPUOP_down, 1, 0), 0)
	g.want("last down", op(xen.VCPUOP_down, 0, 0), 0)
	if len(g.ended) != 1 || g.ended[0].Reason != xen.SHUTDOWN_poweroff {
		t.Errorf("%+v", g.ended)
	}
}

func TestVCPUOp_initialise32(t *testing.T) {
	g := newGuest(t)
	c := func(csAR, dsAR uint16) uint64 {
		g.put(argAt, uint32(xen.VCPU_HVM_MODE_32B), uint32(0), [8]uint32{1, 2, 3, 4, 5, 6, 7, 8}, uint32(0x1000), uint32(2),
			uint32(1), uint32(0), uint32(0), uint32(0), uint64(0), [5]uint32{}, [5]uint32{^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), 0x67},
			csAR, dsAR, uint16(0xc93), uint16(0), uint16(0x8b), [6]byte{})
		return g.call(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_initialise, 1, argAt)
	}
	g.want("data in CS", c(0xc93, 0xc93), neg(xen.EINVAL))
	g.want("system in DS", c(0xc9b, 0xc83), neg(xen.EINVAL))
	g.want("DPL", c(0xc9b, 0xcf3), neg(xen.EINVAL))
	g.want("not present", c(0xc9b, 0xc13), neg(xen.EINVAL))
	g.want("junk", c(0x1c9b, 0xc93), neg(xen.EINVAL))
	g.want("good", c(0xc9b, 0xc93), 0)
	g.call(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_up, 1, 0)
	st := g.started[0]
	if st.RIP != 0x1000 || st.Seg[x86.CS].Limit != ^uint32(0) || st.Seg[x86.CS].Attr&x86.AttrDB == 0 || st.Seg[x86.ES].Attr != x86.AttrUnusable {
		t.Errorf("%+v", st)
	}
}

func TestSchedOp_shutdownAndWatchdog(t *testing.T) {
	g := newGuest(t)
	op := func(op, va uint64) uint64 { return g.call(xen.HYPERVISOR_sched_op, op, va) }
	g.put(argAt, uint32(0), uint32(10))
	g.want("watchdog", op(xen.SCHEDOP_watchdog, argAt), 1)
	g.want("watchdog", op(xen.SCHEDOP_watchdog, argAt), 2)
	g.want("watchdog", op(xen.SCHEDOP_watchdog, argAt), neg(xen.ENOSPC))
	g.put(argAt, uint32(2), uint32(0))
	g.want("stop", op(xen.SCHEDOP_watchdog, argAt), 0)
	g.want("stop again", op(xen.SCHEDOP_watchdog, argAt), neg(xen.EINVAL))
	g.put(argAt, uint32(3), uint32(0))
	g.want("id", op(xen.SCHEDOP_watchdog, argAt), neg(xen.EINVAL))
	if g.v.NextDeadline() != g.v.Now()+10e9 {
		t.Error("deadline")
	}
	g.put(argAt, uint16(0), uint16(0), uint32(0))
	g.want("remote", op(xen.SCHEDOP_remote_shutdown, argAt), neg(xen.EPERM))
	g.put(argAt, uint16(5))
	g.want("remote", op(xen.SCHEDOP_remote_shutdown, argAt), neg(xen.ESRCH))
	g.want("fault", op(xen.SCHEDOP_shutdown, unmap), neg(xen.EFAULT))
	g.src.ns.Add(11e9)
	g.v.Expire(g.v.Now())
	if s, down := g.d.ShutdownState(); !down || s.Reason != xen.SHUTDOWN_watchdog {
		t.Errorf("%+v", s)
	}
	g.d.Resume()
	g.put(argAt, uint32(xen.SHUTDOWN_reboot))
	g.want("code", op(xen.SCHEDOP_shutdown_code, argAt), 0)
	g.put(argAt, uint32(xen.SHUTDOWN_crash))
	g.want("shutdown", op(xen.SCHEDOP_shutdown, argAt), 0)
	if s, _ := g.d.ShutdownState(); s.Reason != xen.SHUTDOWN_reboot || !g.d.IsShutdown() {
		t.Errorf("%+v", s)
	}
}

func TestSchedOp_poll(t *testing.T) {
	g := newGuest(t)
	g.put(argAt, uint32(0))
	g.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_bind_ipi, argAt)
	port := g.u32(argAt + 4)
	g.put(listAt, port)
	g.put(argAt, uint64(listAt), uint32(1), uint32(0), g.v.Now()+500)
	g.want("poll", g.call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_poll, argAt), 0)
	if !g.res.Block || !g.v.Polling() || g.v.PollDone() || g.v.NextDeadline() != g.v.Now()+500 {
		t.Fatalf("%+v", g.res)
	}
	g.src.ns.Add(500)
	g.v.Expire(g.v.Now())
	if !g.v.PollDone() {
		t.Error("timeout")
	}
	g.v.EndPoll()
	g.put(argAt, uint64(listAt), uint32(1), uint32(0), uint64(0))
	g.call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_poll, argAt)
	kicks := g.kicks[0]
	g.put(argAt+64, port)
	// Another vCPU sends.
	first := g.v
	g.v = g.d.VCPUs[1]
	g.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_send, argAt+64)
	g.v = first
	if !g.v.PollDone() || g.kicks[0] == kicks {
		t.Error("event does not end the poll")
	}
	g.v.EndPoll()
	g.want("pending", g.call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_poll, argAt), 0)
	if g.res.Block {
		t.Error("a pending port does not block")
	}
	g.put(listAt, uint32(500))
	g.want("bad port", g.call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_poll, argAt), neg(xen.EINVAL))
	g.put(argAt, uint64(listAt), uint32(129), uint32(0), uint64(0))
	g.want("too many", g.call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_poll, argAt), neg(xen.EINVAL))
}

func TestConsoleIO_isBounded(t *testing.T) {
	g := newGuest(t)
	text := bytes.Repeat([]byte("0123456789abcdef"), 200)
	g.put(listAt, text)
	g.call(xen.HYPERVISOR_console_io, xen.CONSOLEIO_write, uint64(len(text)), listAt)
	ret, n := g.finish()
	g.want("write", ret, 0)
	if n != 3 || !bytes.Equal(g.console.Bytes(), text) {
		t.Errorf("%d continuations, %d bytes", n, g.console.Len())
	}
	g.want("read", g.call(xen.HYPERVISOR_console_io, xen.CONSOLEIO_read, 10, listAt), 0)
	g.want("fault", g.call(xen.HYPERVISOR_console_io, xen.CONSOLEIO_write, 10, unmap), neg(xen.EFAULT))
}

func TestSetTimerOp_absurdTimeouts(t *testing.T) {
	g := newGuest(t)
	for _, x := range []struct{ in, want uint64 }{{g.v.Now() + 77, g.v.Now() + 77}, {0, ^uint64(0)}, {1 << 63, g.v.Now() + 100e6},
		{1 << 60, g.v.Now() + 100e6}} {
		g.want("set_timer_op", g.call(xen.HYPERVISOR_set_timer_op, x.in), 0)
		if d := g.v.NextDeadline(); d != x.want {
			t.Errorf("%#x: deadline %d, want %d", x.in, d, x.want)
		}
	}
}

func TestGrantTableOp_tableAndLoopback(t *testing.T) {
	g := newGuest(t)
	op := func(op, va, n uint64) uint64 { return g.call(xen.HYPERVISOR_grant_table_op, op, va, n) }
	g.put(argAt, self, uint16(0), [16]byte{})
	g.want("query", op(xen.GNTTABOP_query_size, argAt, 1), 0)
	if g.u32(argAt+4) != 1 || g.u32(argAt+8) != 64 {
		t.Errorf("%d of %d frames", g.u32(argAt+4), g.u32(argAt+8))
	}
	g.want("count", op(xen.GNTTABOP_query_size, argAt, 2), neg(xen.EINVAL))
	g.put(argAt, self, uint16(0), uint32(2), uint64(0), uint64(listAt))
	g.want("setup", op(xen.GNTTABOP_setup_table, argAt, 1), 0)
	if g.u64(listAt) != ^uint64(0) || int16(g.u32(argAt+8)) != 0 {
		t.Errorf("frame %#x status %d", g.u64(listAt), int16(g.u32(argAt+8)))
	}
	g.put(argAt, self, uint16(0), uint32(65), uint64(0), uint64(listAt))
	op(xen.GNTTABOP_setup_table, argAt, 1)
	if int16(g.u32(argAt+8)) != int16(xen.GNTST_general_error) {
		t.Error("too many frames")
	}
	g.put(argAt, uint32(2))
	g.want("version 2", op(xen.GNTTABOP_set_version, argAt, 1), 0)
	g.put(argAt, uint32(3))
	g.want("version 3", op(xen.GNTTABOP_set_version, argAt, 1), neg(xen.EINVAL))
	if g.u32(argAt) != 2 {
		t.Error("version")
	}
	g.put(argAt, uint32(1))
	g.want("version 1", op(xen.GNTTABOP_set_version, argAt, 1), 0)
	// Map the table at frame 0x300 and grant frame 0x310 to ourselves.
	g.put(argAt, self, uint16(0), uint32(xen.XENMAPSPACE_grant_table), uint64(0), uint64(0x300))
	g.want("add", g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_add_to_physmap, argAt), 0)
	g.put(0x300000+9*8, uint16(xen.GTF_permit_access), uint16(7), uint32(0x310))
	g.put(0x310000, uint64(0xabcdef))
	g.put(argAt, uint64(0x5000000), uint32(xen.GNTMAP_host_map), uint32(9), uint16(7), uint16(0), uint32(0), uint64(0))
	g.want("map", op(xen.GNTTABOP_map_grant_ref, argAt, 1), 0)
	if st := int16(g.u32(argAt+16) >> 16); st != 0 || g.u64(0x5000000) != 0xabcdef || g.u32(0x300000+9*8)&0x18 != 0x18 {
		t.Fatalf("status %d, entry %#x", st, g.u32(0x300000+9*8))
	}
	handle := g.u32(argAt + 20)
	g.put(argAt, uint64(0x5000000), uint64(0), handle, uint32(0))
	g.want("unmap", op(xen.GNTTABOP_unmap_grant_ref, argAt, 1), 0)
	if int16(g.u32(argAt+20)) != 0 || g.u32(0x300000+9*8)&0x18 != 0 || g.d.Memory.HostPage(0x5000) != nil {
		t.Error("unmap")
	}
	op(xen.GNTTABOP_unmap_grant_ref, argAt, 1)
	if int16(g.u32(argAt+20)) != int16(xen.GNTST_bad_handle) {
		t.Error("unmap twice")
	}
	// Copy out of the grant, many times.
	const n = budget + 10
	for i := range uint64(n) {
		g.put(listAt+40*i, uint64(9), uint16(7), uint16(0), uint32(0), uint64(0x320), self, uint16(16), uint32(0), uint16(8), uint16(xen.GNTCOPY_source_gref), uint16(99), uint16(0))
	}
	op(xen.GNTTABOP_copy, listAt, n)
	ret, conts := g.finish()
	g.want("copy", ret, 0)
	if conts != 1 || g.u64(0x320010) != 0xabcdef || g.u32(listAt+40*(n-1)+36)&0xffff != 0 {
		t.Errorf("%d continuations, %#x", conts, g.u64(0x320010))
	}
	g.want("transfer", op(xen.GNTTABOP_transfer, argAt, 1), neg(xen.ENOSYS))
	g.want("cache_flush", op(xen.GNTTABOP_cache_flush, argAt, 1), neg(xen.ENOSYS))
	g.want("count", op(xen.GNTTABOP_copy, listAt, 1<<31), neg(xen.EINVAL))
	g.put(argAt, uint32(9), uint32(10), uint32(0))
	g.want("swap", op(xen.GNTTABOP_swap_grant_ref, argAt, 1), 0)
	if g.u32(0x300000+10*8) != 7<<16|1 {
		t.Error("swap")
	}
}

func TestEventChannelOp_lifeOfPorts(t *testing.T) {
	g := newGuest(t)
	op := func(op, va uint64) uint64 { return g.call(xen.HYPERVISOR_event_channel_op, op, va) }
	g.put(argAt, self, self, uint32(0))
	g.want("alloc", op(xen.EVTCHNOP_alloc_unbound, argAt), 0)
	a := g.u32(argAt + 4)
	g.put(argAt, self, uint16(0), a, uint32(0))
	g.want("bind", op(xen.EVTCHNOP_bind_interdomain, argAt), 0)
	b := g.u32(argAt + 8)
	if a != 1 || b != 2 {
		t.Fatalf("ports %d %d", a, b)
	}
	g.put(argAt, self, uint16(0), a, [16]byte{})
	g.want("status", op(xen.EVTCHNOP_status, argAt), 0)
	if g.u32(argAt+8) != xen.EVTCHNSTAT_interdomain || g.u32(argAt+16) != 7 || g.u32(argAt+20) != b {
		t.Errorf("status %d dom %d port %d", g.u32(argAt+8), g.u32(argAt+16), g.u32(argAt+20))
	}
	g.put(argAt, a, uint32(1))
	g.want("bind_vcpu", op(xen.EVTCHNOP_bind_vcpu, argAt), 0)
	g.put(argAt, b)
	g.want("send", op(xen.EVTCHNOP_send, argAt), 0)
	if !g.d.VCPUs[1].UpcallPending() || g.kicks[1] != 1 {
		t.Errorf("upcall on vCPU 1: %v, %d kicks", g.d.VCPUs[1].UpcallPending(), g.kicks[1])
	}
	g.put(argAt, uint32(xen.VIRQ_TIMER), uint32(1), uint32(0))
	g.want("virq", op(xen.EVTCHNOP_bind_virq, argAt), 0)
	g.want("virq again", op(xen.EVTCHNOP_bind_virq, argAt), neg(xen.EEXIST))
	g.put(argAt, uint32(2), uint32(0), uint32(0))
	g.want("pirq", op(xen.EVTCHNOP_bind_pirq, argAt), neg(xen.EINVAL))
	g.put(argAt, uint64(0x100), uint32(8), uint32(0), uint64(0))
	g.want("init_control", op(xen.EVTCHNOP_init_control, argAt), 0)
	if g.bytes(argAt+16, 1)[0] != 17 || !g.d.Events.FIFO() {
		t.Error("link bits")
	}
	g.put(argAt, uint64(0x101))
	g.want("expand", op(xen.EVTCHNOP_expand_array, argAt), 0)
	g.put(argAt, a, uint32(3))
	g.want("priority", op(xen.EVTCHNOP_set_priority, argAt), 0)
	g.put(argAt, a, uint32(16))
	g.want("priority", op(xen.EVTCHNOP_set_priority, argAt), neg(xen.EINVAL))
	g.put(argAt, a)
	g.want("unmask", op(xen.EVTCHNOP_unmask, argAt), 0)
	g.want("close", op(xen.EVTCHNOP_close, argAt), 0)
	g.want("close again", op(xen.EVTCHNOP_close, argAt), neg(xen.EINVAL))
	g.put(argAt, self)
	g.want("reset", op(xen.EVTCHNOP_reset, argAt), 0)
	if g.d.Events.FIFO() || g.d.Events.Used() != 0 {
		t.Error("reset")
	}
	g.put(argAt, uint16(0), self)
	g.want("domain 0", op(xen.EVTCHNOP_alloc_unbound, argAt), neg(xen.EPERM))
	g.put(argAt, uint16(44), self)
	g.want("other domain", op(xen.EVTCHNOP_alloc_unbound, argAt), neg(xen.ESRCH))
	g.want("fault", op(xen.EVTCHNOP_send, unmap), neg(xen.EFAULT))
}
