package main

import (
	"gozen/hypervisor/engine"
	"gozen/hypervisor/engine/kvm"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// smallVM is a VM with one page, at address 0, whose vCPU executes code there in flat 32-bit mode.
type smallVM struct {
	sys *kvm.System
	mem *guestmem.Memory
	vm  *kvm.VM
	cpu engine.VCPU
}

// newSmallVM makes one. The caller's goroutine is locked to its thread, and runs the vCPU.
func newSmallVM(code string) (s *smallVM, err error) {
	s = &smallVM{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.sys, err = kvm.Open(""); err != nil {
		return s, err
	}
	if s.mem, err = guestmem.New([]guestmem.Range{{Size: guestmem.PageSize}}); err != nil {
		return s, err
	}
	leaves, err := s.sys.SupportedCPUID()
	if err != nil {
		return s, err
	}
	if s.vm, err = s.sys.New(kvm.Config{Memory: s.mem, CPUID: func(int) []x86.CPUIDLeaf { return leaves }}); err != nil {
		return s, err
	}
	if err = s.mem.Write(0, []byte(code)); err != nil {
		return s, err
	}
	if s.cpu, err = s.vm.NewVCPU(0); err != nil {
		return s, err
	}
	st := x86.State{RFLAGS: 2, CR0: x86.CR0PE | x86.CR0ET, PAT: x86.PATReset, XCR0: 1, MiscEnable: 1}
	for i := range st.Seg {
		st.Seg[i] = x86.Segment{Attr: 0xc093, Limit: 0xffffffff}
	}
	st.Seg[x86.CS].Attr = 0xc09b
	st.TR = x86.Segment{Attr: 0x8b, Limit: 0x67}
	st.LDTR = x86.Segment{Attr: x86.AttrUnusable}
	st.DR[6], st.DR[7] = 0xffff0ff0, 0x400
	st.FX.FCW, st.FX.MXCSR = 0x37f, x86.MXCSRReset
	return s, s.cpu.Set(&st)
}

func (s *smallVM) close() {
	if s.vm != nil {
		_ = s.vm.Close()
	}
	if s.mem != nil {
		s.mem.Close()
	}
	if s.sys != nil {
		_ = s.sys.Close()
	}
}
