package abi

import (
	"gozen/benches/guest/abi"
	"gozen/hypervisor/xen"
)

const hvmOp = xen.HYPERVISOR_hvm_op

func hvmRows() []row {
	return []row{{name: "hvm_op", covers: []string{"hvm_op/set_param", "hvm_op/get_param", "hvm_op/flush_tlbs", "hvm_op/get_time", "hvm_op/xentrace",
		"hvm_op/get_mem_type", "hvm_op/guest_request_vm_event"}, opts: []option{vcpus(2)}, guest: hvm}}
}

func hvm(p *abi.Prog) func(*guest) {
	r1, con := p.Param(xen.HVM_PARAM_CONSOLE_PFN)
	r2, store := p.Param(xen.HVM_PARAM_STORE_PFN)
	r3, port := p.Param(xen.HVM_PARAM_STORE_EVTCHN)
	r4 := p.SetParam(xen.HVM_PARAM_VM_GENERATION_ID_ADDR, 0x123456)
	r5, gen := p.Param(xen.HVM_PARAM_VM_GENERATION_ID_ADDR)
	readOnly := p.SetParam(xen.HVM_PARAM_CONSOLE_PFN, 5)
	hidden, _ := p.Param(xen.HVM_PARAM_IDENT_PT)
	beyond, _ := p.Param(xen.HVM_NR_PARAMS)
	other := p.Call(hvmOp, xen.HVMOP_get_param, p.Struct(&xen.HVMParam{DomID: 0x7000, Index: xen.HVM_PARAM_STORE_PFN}))
	flush := p.Call(hvmOp, xen.HVMOP_flush_tlbs, 0)
	flushSome := p.Call(hvmOp, xen.HVMOP_flush_tlbs, 1)
	t1, t2 := p.Words(1), p.Words(1)
	r6 := p.Call(hvmOp, xen.HVMOP_get_time, t1)
	r7 := p.Call(hvmOp, xen.HVMOP_get_time, t2)
	trace := p.Call(hvmOp, xen.HVMOP_xentrace, p.Words(8))
	badTrace := p.Call(hvmOp, xen.HVMOP_xentrace, p.Bytes([]byte{0, 0, 200, 0}))
	ram := p.Struct(&xen.HVMGetMemType{DomID: self, PFN: 0x200})
	hole := p.Struct(&xen.HVMGetMemType{DomID: self, PFN: 0xfee00})
	r8, r9 := p.Call(hvmOp, xen.HVMOP_get_mem_type, ram), p.Call(hvmOp, xen.HVMOP_get_mem_type, hole)
	event := p.Call(hvmOp, xen.HVMOP_guest_request_vm_event, 0)
	dying := p.Call(hvmOp, xen.HVMOP_pagetable_dying, p.Struct(&xen.HVMPagetableDying{DomID: self}))
	none := p.Call(hvmOp, 77, 0)
	return func(g *guest) {
		g.ok("hvm_op", r1, r2, r3, r4, r5, r6, r7, r8, r9, flush, trace, event)
		g.is("console frame", con, 0xfefff)
		g.is("xenstore frame", store, 0xfeffc)
		g.within("xenstore port", port, 1, 64)
		g.is("a parameter that was set", gen, 0x123456)
		g.fails("a read-only parameter", readOnly, xen.EPERM)
		g.fails("a hidden parameter", hidden, xen.EPERM)
		g.fails("a parameter beyond the last", beyond, xen.EINVAL)
		g.fails("another domain", other, xen.ESRCH)
		g.fails("flush of some vCPUs", flushSome, xen.EINVAL)
		g.fails("a long trace record", badTrace, xen.EINVAL)
		g.fails("pagetable_dying", dying, xen.EINVAL)
		g.fails("operation 77", none, xen.ENOSYS)
		if a, b := g.u64(t1), g.u64(t2); a == 0 || b < a {
			g.t.Errorf("time went from %d to %d", a, b)
		}
		var m xen.HVMGetMemType
		if g.decode(ram, &m); m.MemType != 0 {
			g.t.Errorf("type of RAM %d", m.MemType)
		}
		if g.decode(hole, &m); m.MemType != 2 {
			g.t.Errorf("type of a hole %d", m.MemType)
		}
	}
}
