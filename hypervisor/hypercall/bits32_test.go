package hypercall

import (
	"bytes"
	"testing"

	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

// newGuest32 is a guest in 32-bit mode.
func newGuest32(t testing.TB) *guest {
	g := newGuest(t)
	g.long = false
	return g
}

// TestCall32_latchesTheWidth: the mode in which a guest sets its callback decides where the shared areas have what.
func TestCall32_latchesTheWidth(t *testing.T) {
	g := newGuest32(t)
	set := func(index uint32) {
		g.put(argAt, uint16(xen.DOMID_SELF), uint16(0), index, uint64(xen.HVM_PARAM_CALLBACK_TYPE_VECTOR<<56|0x31))
		g.want("set_param", g.call(xen.HYPERVISOR_hvm_op, xen.HVMOP_set_param, argAt), 0)
	}
	send := func() {
		g.put(argAt, uint32(0), uint32(0))
		g.want("bind_ipi", g.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_bind_ipi, argAt), 0)
		g.put(argAt, g.u32(argAt+4))
		g.want("send", g.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_send, argAt), 0)
	}
	l32, l64 := xen.Shared(xen.ABI32), xen.Shared(xen.ABI64)
	send()
	if s := g.d.Shared(); s.Load32(l64.PendingSel) != 1 || s.Load32(l32.PendingSel) != 0 {
		t.Error("a call does not latch the width")
	}
	set(xen.HVM_PARAM_STORE_EVTCHN)
	if g.d.ABI() != xen.ABI64 {
		t.Error("another parameter does")
	}
	set(xen.HVM_PARAM_CALLBACK_IRQ)
	send()
	if s := g.d.Shared(); s.Load32(l32.PendingSel) != 1 || s.Load32(l32.EvtchnPending)>>2&1 != 1 {
		t.Error("the callback does not")
	}
	g.long = true
	if set(xen.HVM_PARAM_CALLBACK_IRQ); g.d.ABI() != xen.ABI64 {
		t.Error("nor in 64-bit mode")
	}
	g.put(argAt, uint16(xen.DOMID_SELF), uint16(0), uint32(xen.HVM_PARAM_CALLBACK_IRQ), uint64(0))
	g.long = false
	g.want("unreadable", g.call(xen.HYPERVISOR_hvm_op, xen.HVMOP_set_param, unmap), neg(xen.EFAULT)&0xffffffff)
	if g.d.ABI() != xen.ABI64 {
		t.Error("a call that failed does")
	}
}

// TestCall32_continues: progress is kept in 32-bit registers, and results have no upper half.
func TestCall32_continues(t *testing.T) {
	g := newGuest32(t)
	text := bytes.Repeat([]byte("0123456789abcdef"), 256)
	g.put(listAt, text)
	g.call(xen.HYPERVISOR_console_io, xen.CONSOLEIO_write, uint64(len(text)), listAt)
	for _, r := range []int{x86.RBX, x86.RCX, x86.RDX} {
		if g.regs[r]>>32 != 0 {
			t.Errorf("register %d: %#x", r, g.regs[r])
		}
	}
	if ret, n := g.finish(); ret != 0 || n == 0 || !bytes.Equal(g.console.Bytes(), text) {
		t.Errorf("%#x after %d rounds, %d bytes", ret, n, g.console.Len())
	}
	const extents = 200
	for i := range uint64(extents) {
		g.put(listAt+4*i, uint32(0x200+i))
	}
	g.put(argAt, uint32(listAt), uint32(extents), uint32(0), uint32(0), uint16(xen.DOMID_SELF), uint16(0))
	g.call(xen.HYPERVISOR_memory_op, xen.XENMEM_decrease_reservation, argAt)
	if ret, n := g.finish(); ret != extents || n < 2 || g.d.Memory.HostPage(0x2c7) != nil || g.d.Memory.HostPage(0x2c8) == nil {
		t.Errorf("%d extents after %d rounds", ret, n)
	}
}

// TestCall32_multicall: entries have eight words of 32 bits.
func TestCall32_multicall(t *testing.T) {
	g := newGuest32(t)
	const n = 150
	for i := range uint64(n) {
		g.put(listAt+32*i, [8]uint32{xen.HYPERVISOR_event_channel_op, 0xeeeeeeee, xen.EVTCHNOP_send, argAt})
	}
	g.put(argAt, uint32(99))
	g.call(xen.HYPERVISOR_multicall, listAt, n)
	if ret, rounds := g.finish(); ret != 0 || rounds == 0 {
		t.Errorf("%#x after %d rounds", ret, rounds)
	}
	for i := range uint64(n) {
		if r := g.u32(listAt + 32*i + 4); r != uint32(neg(xen.EINVAL)) || g.u32(listAt+32*i) != xen.HYPERVISOR_event_channel_op {
			t.Fatalf("entry %d: %#x", i, r)
		}
	}
}

// TestCall32_writesNoMore: a struct of the 32-bit ABI is shorter, and what lies behind it stays.
func TestCall32_writesNoMore(t *testing.T) {
	g := newGuest32(t)
	guard := bytes.Repeat([]byte{0xee}, 64)
	for _, c := range []struct {
		name string
		nr   uint64
		args []uint64
		in   []any
		size int
	}{
		{name: "platform_parameters", nr: xen.HYPERVISOR_xen_version, args: []uint64{xen.XENVER_platform_parameters, argAt}, size: 4},
		{name: "runstate", nr: xen.HYPERVISOR_vcpu_op, args: []uint64{xen.VCPUOP_get_runstate_info, 0, argAt}, size: 44},
		{name: "setup_table", nr: xen.HYPERVISOR_grant_table_op, args: []uint64{xen.GNTTABOP_setup_table, argAt, 1},
			in: []any{uint16(xen.DOMID_SELF), uint16(0), uint32(1), uint32(0), uint32(listAt)}, size: 16},
		{name: "memory_map", nr: xen.HYPERVISOR_memory_op, args: []uint64{xen.XENMEM_memory_map, argAt}, in: []any{uint32(1), uint32(listAt)}, size: 8},
	} {
		g.put(argAt, guard)
		g.put(argAt, c.in...)
		g.put(listAt, guard)
		g.want(c.name, g.call(c.nr, c.args...), 0)
		got := g.bytes(argAt, 64)
		if !bytes.Equal(got[c.size:], guard[c.size:]) || bytes.Equal(got[:c.size], guard[:c.size]) {
			t.Errorf("%s: % x", c.name, got)
		}
		if c.in != nil {
			if list := g.bytes(listAt, 64); c.name == "setup_table" && (list[0] == 0xee || list[4] != 0xee) || c.name == "memory_map" && (list[19] == 0xee || list[20] != 0xee) {
				t.Errorf("%s: list % x", c.name, list)
			}
		}
	}
}
