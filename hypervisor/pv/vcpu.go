package pv

import (
	"sync/atomic"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/pv/monitor"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

// Trap is where the guest takes an exception or software interrupt.
type Trap struct {
	Flags   uint8
	CS      uint16
	Address uint64
}

// Callback is an entry of the guest's that Xen calls.
type Callback struct {
	Address uint64
	Mask    bool // events are masked on entry
}

// VCPU is the PV part of a vCPU: what Xen keeps of it. It belongs to the vCPU's goroutine.
type VCPU struct {
	ID int
	// Regs is the frame of the entry under way.
	Regs [monitor.FrameWords]uint64
	// Kernel says that the guest's kernel runs, or made the call; else a process of its.
	Kernel bool
	// Nested says that the last entry was a fault of the monitor's own: the guest's frame could not be returned to.
	Nested bool
	// Traps is the guest's table, and what follows its callbacks.
	Traps                                 [256]Trap
	Event, FailsafeTo, Syscall, Syscall32 Callback
	Sysenter, NMI                         Callback
	// KernelSP is the stack that entries from a process use.
	KernelSP uint64
	// KernelRoot and UserRoot are the level-4 tables of the kernel and of the process.
	KernelRoot, UserRoot guestmem.GPA
	CR2                  uint64
	TS                   bool
	// Debug are the debug registers; DebugSet says that they are to be loaded.
	Debug    [8]uint64
	DebugSet bool
	// Done counts the entries of a list that earlier parts of a continued hypercall have worked off.
	Done uint32
	IOPL uint8

	loaded atomic.Uint64 // the frame in CR3 as of the next entry

	m     *Machine
	words *words          // the stack page
	held  [2]guestmem.GPA // the roots that references are held of; guarded by MMU.mu
	flags uint64          // orders for the way out
	gdt   [xen.FIRST_RESERVED_GDT_PAGE]guestmem.GFN
	gdtN  int
	info  uint64       // the address of vcpu_info in the vCPU's window, 0 for none
	own   guestmem.GFN // the reserved page of descriptors
	start x86.State
	buf   [9 * 8]byte // a frame
}

func (m *Machine) newVCPU(id int) (*VCPU, error) {
	v := &VCPU{ID: id, m: m, Kernel: true}
	code, syscall, syscall32, err := m.Image.Stub(id)
	if err != nil {
		return nil, err
	}
	stack, err := m.alloc()
	if err != nil {
		return nil, err
	}
	page, err := m.mem.PageAt(stack)
	if err != nil {
		return nil, err
	}
	v.words = wordsOf(page)
	stub, err := m.page(code)
	if err != nil {
		return nil, err
	}
	tss, err := m.page(monitor.TSS(id))
	if err != nil {
		return nil, err
	}
	if v.own, err = m.page(monitor.Descriptors(id)); err != nil {
		return nil, err
	}
	m.window(id, monitor.StackAt, stack, bitP|bitRW)
	m.window(id, monitor.StubAt, stub, bitP)
	m.window(id, monitor.TSSAt, tss, bitP|bitRW)
	for i := range monitor.GDTPages {
		m.window(id, monitor.GDTAt+i<<12, m.zero, bitP)
	}
	m.window(id, monitor.GDTAt+xen.FIRST_RESERVED_GDT_PAGE<<12, v.own, bitP|bitRW)
	v.initial(syscall, syscall32)
	return v, nil
}

// initial is the state in which the vCPU is first loaded: in the monitor, about to return to the guest.
func (v *VCPU) initial(syscall, syscall32 uint64) {
	s := &v.start
	at := monitor.VCPU(v.ID)
	s.RIP, s.RFLAGS = v.m.Image.Resume, x86.FlagOne
	s.GPR[x86.RSP] = at + monitor.StackAt + monitor.Frame
	flat := x86.Segment{Limit: 0xffffffff}
	for i := range s.Seg {
		s.Seg[i] = x86.Segment{Attr: x86.AttrUnusable}
	}
	s.Seg[x86.CS], s.Seg[x86.SS] = flat, flat
	s.Seg[x86.CS].Selector, s.Seg[x86.CS].Attr = monitor.MonitorCS, 0xa09b
	s.Seg[x86.SS].Selector, s.Seg[x86.SS].Attr = monitor.MonitorDS, 0xc093
	s.TR = x86.Segment{Selector: monitor.TSSSel, Base: at + monitor.TSSAt, Limit: 0x67, Attr: 0x8b}
	s.LDTR = x86.Segment{Attr: x86.AttrUnusable}
	s.GDTR = x86.Table{Base: at + monitor.GDTAt, Limit: monitor.GDTPages<<12 - 1}
	s.IDTR = x86.Table{Base: monitor.IDT, Limit: 256*16 - 1}
	s.CR0 = x86.CR0PE | x86.CR0MP | x86.CR0ET | x86.CR0NE | x86.CR0WP | x86.CR0PG
	s.CR4 = x86.CR4PAE | x86.CR4PGE | x86.CR4OSFXSR | x86.CR4OSXMMEXCPT
	s.EFER = x86.EFERSCE | x86.EFERLME | x86.EFERLMA | x86.EFERNXE
	s.STAR = uint64(xen.FLAT_RING3_CS32)<<48 | uint64(monitor.MonitorCS)<<32
	s.LSTAR, s.CSTAR, s.SFMASK = syscall, syscall32, 0x47700 // TF IF DF IOPL NT AC
	s.PAT, s.XCR0 = x86.PATReset, 1
	s.DR[6], s.DR[7] = 0xffff0ff0, 0x400
	s.FX.FCW, s.FX.MXCSR = 0x37f, x86.MXCSRReset
}

// State gives the state to load before the vCPU first runs: it then returns to what Regs, KernelRoot and the rest say.
func (v *VCPU) State() *x86.State {
	s := v.start
	s.CR3 = uint64(v.KernelRoot)
	v.loaded.Store(uint64(v.KernelRoot.GFN()))
	flags := v.flags
	v.Store()
	v.words[monitor.BlockFlags/8] = flags
	return &s
}

// Load reads the frame of the entry that left for the hypervisor.
func (v *VCPU) Load() {
	at := monitor.VCPU(v.ID) + monitor.StackAt
	v.Nested = v.words[monitor.BlockFrame/8] != at+monitor.Frame
	off := uint32(monitor.Frame)
	if v.Nested {
		off = uint32(v.words[monitor.BlockFrame/8]) & (pageSize - 1) &^ 7
		off = min(off, monitor.Frame)
	}
	v.Regs = [monitor.FrameWords]uint64(v.words[off/8:])
	v.words[monitor.BlockFrame/8] = 0 // so that a frame elsewhere is not taken for this one
	v.CR2 = v.words[monitor.BlockCR2/8]
	v.adopt()
	v.flags = 0
	v.loaded.Store(uint64(v.Root().GFN()))
}

// Frame gives the frame of the entry that has left for the hypervisor, before Load takes it; false where there is none, or one inside the monitor. kernel says that
// the guest's kernel was interrupted.
func (v *VCPU) Frame() (regs [monitor.FrameWords]uint64, kernel, ok bool) {
	if v.words[monitor.BlockFrame/8] != monitor.VCPU(v.ID)+monitor.StackAt+monitor.Frame {
		return regs, false, false
	}
	return [monitor.FrameWords]uint64(v.words[monitor.Frame/8:]), v.words[monitor.BlockMode/8]&1 == 0, true
}

// Store gives the frame back, with the orders for the way out.
func (v *VCPU) Store() {
	*(*[monitor.FrameWords]uint64)(v.words[monitor.Frame/8:]) = v.Regs
	v.publish()
	if v.flags != 0 {
		v.words[monitor.BlockFlags/8] = v.flags
		v.flags = 0
	}
}

// adopt takes over what the monitor has changed by itself.
func (v *VCPU) adopt() {
	v.Kernel = v.words[monitor.BlockMode/8]&1 == 0
	v.KernelSP = v.words[monitor.BlockKernSP/8]
	if v.words[monitor.BlockKernCR3/8] != uint64(v.KernelRoot) || v.words[monitor.BlockUserCR3/8] != uint64(v.UserRoot) {
		v.KernelRoot, v.UserRoot = v.m.MMU.roots(v)
	}
}

// publish puts into the block what the monitor goes by when it finishes system calls and iret itself.
func (v *VCPU) publish() {
	mode, sys, mask := uint64(1), v.Syscall.Address, uint64(0)
	if v.Kernel {
		mode = 0
	}
	if v.info == 0 || v.KernelSP == 0 || !x86.Canonical(v.KernelSP) || !x86.Canonical(sys) {
		sys = 0
	}
	if v.Syscall.Mask {
		mask = 1
	}
	fault, faultMask := v.Traps[x86.VectorPF].Address, uint64(v.Traps[x86.VectorPF].Flags)&xen.TI_IF>>2
	if sys == 0 || !x86.Canonical(fault) {
		fault = 0
	}
	w := v.words
	w[monitor.BlockMode/8] = mode // the roots are there already
	w[monitor.BlockKernSP/8], w[monitor.BlockSyscall/8], w[monitor.BlockInfo/8], w[monitor.BlockMask/8] = v.KernelSP&^15, sys, v.info, mask
	w[monitor.BlockFault/8], w[monitor.BlockFaultMask/8], w[monitor.BlockFrames/8] = fault, faultMask, v.m.MMU.frames
	w[monitor.BlockDirect/8] = v.m.MMU.slots[monitor.DirectSlot-monitor.FirstSlot]
}

// SetInfo tells where vcpu_info is: it becomes visible to the monitor.
func (v *VCPU) SetInfo(g guestmem.GFN, off uint32) {
	v.m.window(v.ID, monitor.InfoAt, g, bitP|bitRW)
	v.info = monitor.VCPU(v.ID) + monitor.InfoAt + uint64(off)
	v.Flush()
}

func (v *VCPU) order(flag, at int, word uint64) {
	v.flags |= uint64(flag)
	v.words[at/8] = word
}

// Root gives the level-4 table in use.
func (v *VCPU) Root() guestmem.GPA {
	if v.Kernel {
		return v.KernelRoot
	}
	return v.UserRoot
}

// Flush makes the way out flush the TLB.
func (v *VCPU) Flush() { v.order(monitor.DoCR3, monitor.BlockCR3, uint64(v.Root())) }

// FlushPage makes it flush one page; more than one flushes all.
func (v *VCPU) FlushPage(va uint64) {
	if v.flags&(monitor.DoInvlpg|monitor.DoCR3) != 0 {
		v.Flush()
		return
	}
	v.order(monitor.DoInvlpg, monitor.BlockPage, va)
}

// Toggle changes between kernel and process: page tables and GS.
func (v *VCPU) Toggle() {
	v.Kernel = !v.Kernel
	v.flags ^= monitor.DoSwapGS
	v.Flush()
}

// SetKernelRoot is MMUEXT_NEW_BASEPTR.
func (v *VCPU) SetKernelRoot(g guestmem.GFN) xen.Errno {
	if g == 0 {
		return xen.EINVAL
	}
	if err := v.m.MMU.setRoot(v, kernelRoot, g); err != 0 {
		return err
	}
	v.KernelRoot = g.GPA()
	v.m.MMU.Private(g, false)
	v.Flush()
	return 0
}

// SetUserRoot is MMUEXT_NEW_USER_BASEPTR; frame 0 is none.
func (v *VCPU) SetUserRoot(g guestmem.GFN) xen.Errno {
	if err := v.m.MMU.setRoot(v, userRoot, g); err != 0 {
		return err
	}
	if v.UserRoot = g.GPA(); g != 0 && v.UserRoot != v.KernelRoot {
		v.m.MMU.Private(g, true)
	}
	return 0
}

// SetBase is HYPERVISOR_set_segment_base, called by the kernel.
func (v *VCPU) SetBase(which uint64, base uint64) xen.Errno {
	if which != xen.SEGBASE_GS_USER_SEL && !x86.Canonical(base) {
		return xen.EINVAL
	}
	switch which {
	case xen.SEGBASE_FS:
		v.order(monitor.DoFS, monitor.BlockFS, base)
	case xen.SEGBASE_GS_USER:
		v.order(monitor.DoKernGS, monitor.BlockKernGS, base)
	case xen.SEGBASE_GS_KERNEL:
		v.order(monitor.DoGS, monitor.BlockGS, base)
	case xen.SEGBASE_GS_USER_SEL:
		// A null selector leaves a base of 0; others are loaded by the guest itself.
		v.order(monitor.DoKernGS, monitor.BlockKernGS, 0)
	default:
		return xen.EINVAL
	}
	return 0
}

// SetDebug is HYPERVISOR_set_debugreg. Breakpoints in the hypervisor's part of the address space are refused.
func (v *VCPU) SetDebug(n int, x uint64) xen.Errno {
	if n < 4 && (!x86.Canonical(x) || inOurs(x)) || n >= 6 && x>>32 != 0 {
		return xen.EPERM
	}
	v.Debug[n] = x
	v.DebugSet = true
	return 0
}

// SetTS is fpu_taskswitch.
func (v *VCPU) SetTS(on bool) {
	v.TS = on
	cr0 := v.start.CR0
	if on {
		cr0 |= x86.CR0TS
	}
	v.order(monitor.DoCR0, monitor.BlockCR0, cr0)
}

// CR4 gives the register as the processor has it.
func (v *VCPU) CR4() uint64 { return v.start.CR4 }
