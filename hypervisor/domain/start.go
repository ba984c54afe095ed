package domain

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

// Control register and EFER bits that a start state is checked for (SDM 3A 2.5, SDM 4 2.1).
const (
	cr0PE, cr0PG     = 1 << 0, 1 << 31
	cr0ET            = 1 << 4
	cr4PAE           = 1 << 5
	eferSCE, eferLME = 1 << 0, 1 << 8
	eferLMA, eferNX  = 1 << 10, 1 << 11
	eferKnown        = eferSCE | eferLME | eferLMA | eferNX | 1<<14 // and FFXSR
	cr4Known         = 0x00ffffff &^ (1 << 13) &^ (1 << 14) &^ (1 << 15) &^ (1 << 19) &^ (1 << 23)
)

// IsUp says whether the vCPU is up (not VPF_down on Xen). Any goroutine.
func (v *VCPU) IsUp() bool { return v.up.Load() }

// Initialised says whether the vCPU has had a state to start in. Any goroutine.
func (v *VCPU) Initialised() bool { return v.inited.Load() }

// BringUp marks the vCPU as initialised and up, for the first vCPU and for one that was started by INIT and SIPI. It does not
// call Start: the caller has set the registers. Any goroutine.
func (v *VCPU) BringUp() {
	v.inited.Store(true)
	v.up.Store(true)
}

// Initialise takes the state that VCPUOP_up will start the vCPU in (VCPUOP_initialise). The vCPU stays down.
func (v *VCPU) Initialise(st *x86.State) xen.Errno {
	v.Dom.mu.Lock()
	defer v.Dom.mu.Unlock()
	if v.info.Load().Page == v.Dom.noInfo {
		return xen.EINVAL
	}
	if v.inited.Load() {
		return xen.EEXIST
	}
	v.boot = st
	v.inited.Store(true)
	return 0
}

// Up starts the vCPU (VCPUOP_up). Any goroutine.
func (v *VCPU) Up() xen.Errno {
	if !v.inited.Load() {
		return xen.EINVAL
	}
	if v.up.Swap(true) {
		return 0
	}
	v.Dom.mu.Lock()
	st := v.boot
	v.boot = nil
	v.Dom.mu.Unlock()
	v.Start(st)
	v.Kick()
	return 0
}

// Down stops the vCPU (VCPUOP_down); it goes on after Up. The last vCPU going down powers the domain off.
// Any goroutine.
func (v *VCPU) Down() {
	v.up.Store(false) // first: of two that go down at once, the later sees the other down
	v.Kick()
	for _, o := range v.Dom.VCPUs {
		if o.up.Load() {
			return
		}
	}
	v.Dom.Shutdown(xen.SHUTDOWN_poweroff)
}

// SetOffline marks a vCPU as down that the guest has switched off by the engine's own means (PSCI). Any goroutine.
func (v *VCPU) SetOffline() { v.up.Store(false) }

// StateFrom32 makes the start state that a 32-bit context describes, checked as Xen's arch_set_info_hvm_guest
// does.
func StateFrom32(c *xen.VCPUHVMx86_32) (*x86.State, xen.Errno) {
	if c.Pad1 != 0 || c.Pad2 != [3]uint16{} {
		return nil, xen.EINVAL
	}
	st := &x86.State{}
	in := [...]struct {
		base, limit uint32
		ar          uint16
	}{x86.CS: {c.CSBase, c.CSLimit, c.CSAR}, x86.DS: {c.DSBase, c.DSLimit, c.DSAR}, x86.SS: {c.SSBase, c.SSLimit, c.SSAR},
		x86.ES: {c.ESBase, c.ESLimit, c.ESAR}}
	for _, i := range []int{x86.CS, x86.DS, x86.SS, x86.ES} {
		s := segment(in[i].base, in[i].limit, in[i].ar, 1)
		if in[i].ar>>12 != 0 || !validSegment(&s, i) {
			return nil, xen.EINVAL
		}
		st.Seg[i] = s
	}
	st.TR = segment(c.TRBase, c.TRLimit, c.TRAR, 2)
	if t := st.TR.Attr & x86.AttrType; c.TRAR>>12 != 0 || st.TR.Attr&x86.AttrP == 0 || st.TR.Attr&x86.AttrS != 0 || t != 3 && t != 11 {
		return nil, xen.EINVAL
	}
	cs, ss := &st.Seg[x86.CS], &st.Seg[x86.SS]
	switch {
	case c.EIP > cs.Limit, ss.DPL() != cs.DPL(), above(&st.Seg[x86.DS], cs), above(&st.Seg[x86.ES], cs),
		c.EFER&eferLMA != 0 && c.EFER&eferLME == 0:
		return nil, xen.EINVAL
	}
	st.GPR = [16]uint64{x86.RAX: uint64(c.EAX), x86.RCX: uint64(c.ECX), x86.RDX: uint64(c.EDX), x86.RBX: uint64(c.EBX),
		x86.RSP: uint64(c.ESP), x86.RBP: uint64(c.EBP), x86.RSI: uint64(c.ESI), x86.RDI: uint64(c.EDI)}
	st.RIP, st.RFLAGS = uint64(c.EIP), uint64(c.EFLAGS)
	return finish(st, uint64(c.CR0), uint64(c.CR3), uint64(c.CR4), c.EFER)
}

// StateFrom64 makes the start state that a 64-bit context describes.
func StateFrom64(c *xen.VCPUHVMx86_64) (*x86.State, xen.Errno) {
	if !x86.Canonical(c.RIP) || c.CR0&cr0PG == 0 || c.CR4&cr4PAE == 0 || c.EFER&eferLME == 0 {
		return nil, xen.EINVAL
	}
	st := &x86.State{RIP: c.RIP, RFLAGS: c.RFLAGS}
	st.GPR = [16]uint64{x86.RAX: c.RAX, x86.RCX: c.RCX, x86.RDX: c.RDX, x86.RBX: c.RBX, x86.RSP: c.RSP, x86.RBP: c.RBP,
		x86.RSI: c.RSI, x86.RDI: c.RDI}
	st.Seg[x86.CS] = segment(0, 0xffffffff, 0xa9b, 0)
	for _, i := range []int{x86.DS, x86.SS, x86.ES} {
		st.Seg[i] = segment(0, 0xffffffff, 0xc93, 0)
	}
	st.TR = segment(0, 0x67, 0x8b, 0)
	return finish(st, c.CR0, c.CR3, c.CR4, c.EFER)
}

// finish checks the control registers and gives the rest its reset values (SDM 3A table 9-1).
func finish(st *x86.State, cr0, cr3, cr4, efer uint64) (*x86.State, xen.Errno) {
	if efer&eferLME != 0 {
		efer |= eferLMA
	}
	if cr4&^cr4Known != 0 || efer&^eferKnown != 0 || cr0&cr0PG != 0 && cr0&cr0PE == 0 {
		return nil, xen.EINVAL
	}
	st.CR0, st.CR3, st.CR4, st.EFER = cr0|cr0ET, cr3, cr4, efer
	st.RFLAGS |= 2
	for _, i := range []int{x86.FS, x86.GS} {
		st.Seg[i] = segment(0, 0xffff, 0x93, 0)
	}
	st.LDTR = segment(0, 0xffff, 0x82, 0)
	st.GDTR.Limit, st.IDTR.Limit = 0xffff, 0xffff
	st.DR[6], st.DR[7] = 0xffff0ff0, 0x400
	st.XCR0 = 1
	st.PAT = 0x0007040600070406
	st.FX.FCW, st.FX.MXCSR = 0x37f, 0x1f80
	return st, 0
}

// segment makes a segment from Xen's 12 attribute bits (type, S, DPL, P, AVL, L, D/B, G without a gap); flag is or-ed into
// the type of a present one (accessed, or busy for a TSS).
func segment(base, limit uint32, ar uint16, flag uint32) x86.Segment {
	attr := uint32(ar&0xff) | uint32(ar&0xf00)<<4
	if attr&x86.AttrP == 0 {
		attr |= x86.AttrUnusable
	} else {
		attr |= flag
	}
	if attr&x86.AttrG != 0 {
		limit = limit<<12 | 0xfff
	}
	return x86.Segment{Attr: attr, Limit: limit, Base: uint64(base)}
}

// validSegment applies Xen's check_segment to CS, DS, ES or SS.
func validSegment(s *x86.Segment, i int) bool {
	if s.Attr == x86.AttrUnusable { // null: no attribute given
		return i == x86.DS || i == x86.ES
	}
	if s.Attr&x86.AttrP == 0 || s.Attr&x86.AttrS == 0 {
		return false
	}
	code, rw := s.Attr&8 != 0, s.Attr&2 != 0
	switch i {
	case x86.CS:
		return code
	case x86.SS:
		return !code && rw
	}
	return !code || rw // readable
}

func above(s, cs *x86.Segment) bool { return s.Attr&x86.AttrP != 0 && s.DPL() > cs.DPL() }
