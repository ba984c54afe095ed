package domain

import (
	"sync"
	"sync/atomic"

	"gozen/hypervisor/clock"
	"gozen/hypervisor/evtchn"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/pv"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

// VirtMem reads and writes guest memory at guest-virtual addresses, through the page tables of the vCPU and with the
// kernel's rights. The vCPU loop implements it; calls come from the vCPU's own goroutine.
type VirtMem interface {
	ReadVirt(va uint64, p []byte) error
	WriteVirt(va uint64, p []byte) error
	// Translate gives the guest-physical address of a guest-virtual one that may be written.
	Translate(va uint64) (guestmem.GPA, error)
}

// VCPU is one virtual CPU. Unless a method says otherwise, it belongs to the goroutine that runs the vCPU.
type VCPU struct {
	ID  int
	Dom *Domain

	// Hooks, set by the vCPU loop before anything runs.

	// Virt is the guest's memory as this vCPU sees it.
	Virt VirtMem
	// Kick makes the loop look at the vCPU again soon: it leaves the guest or wakes up. Any goroutine, any
	// time, also the vCPU's own.
	Kick func()
	// Raise, where set, is called instead of Kick when evtchn_upcall_pending went from 0 to 1: it makes the host deliver the upcall. Any
	// goroutine, any time, also the vCPU's own.
	Raise func()
	// Outside, where set, returns as soon as the vCPU is not in the guest, or has left it once. Any goroutine.
	Outside func()
	// Start makes the vCPU run. st is the state to load first, nil to go on where it was (VCPUOP_up after VCPUOP_down). Called
	// from another vCPU's goroutine.
	Start func(st *x86.State)

	// Counts counts this vCPU's hypercalls; other goroutines may read it.
	Counts Counts
	// Scratch is where hypercalls keep arguments while they work, and Local what package hypercall keeps for
	// the vCPU between calls.
	Scratch [guestmem.PageSize]byte
	Local   any
	// PV is what a PV domain's vCPU has more, nil for others.
	PV *pv.VCPU

	timers clock.Timers
	info   atomic.Pointer[evtchn.VCPUInfo]
	moved  atomic.Bool // vcpu_info was registered
	vector atomic.Uint32
	edge   atomic.Bool // an upcall by per-vCPU vector waits
	nmi    atomic.Bool
	flush  atomic.Bool
	up     atomic.Bool
	inited atomic.Bool
	boot   *x86.State // guarded by Dom.mu

	polling   atomic.Bool
	woken     atomic.Bool
	pollUntil atomic.Uint64

	timeArea  atomic.Uint64 // guest-virtual, 0 for none
	staleTime atomic.Bool
	runArea   atomic.Uint64
	runMu     sync.Mutex
	run       clock.Runstate
	buf       [64]byte
}

func newVCPU(d *Domain, id int, in evtchn.VCPUInfo) *VCPU {
	v := &VCPU{ID: id, Dom: d, Kick: func() {}, Start: func(*x86.State) {}, Virt: noVirt{}}
	v.info.Store(&in)
	v.run = clock.NewRunstate(xen.RUNSTATE_offline, d.Clock.Now())
	return v
}

// noVirt stands for the memory of a vCPU that nobody runs.
type noVirt struct{}

func (noVirt) ReadVirt(uint64, []byte) error          { return guestmem.ErrUnmapped }
func (noVirt) WriteVirt(uint64, []byte) error         { return guestmem.ErrUnmapped }
func (noVirt) Translate(uint64) (guestmem.GPA, error) { return 0, guestmem.ErrUnmapped }

// RegisterInfo makes vcpu_info lie in guest frame g at byte offset off (VCPUOP_register_vcpu_info). A vCPU may be moved once, by
// itself or while it is down; by says who asks.
func (v *VCPU) RegisterInfo(by *VCPU, g guestmem.GFN, off uint32) xen.Errno {
	align := uint32(v.Dom.ABI().LongSize())
	if off > guestmem.PageSize-v.Dom.layout().InfoSize || off&(align-1) != 0 {
		return xen.ENXIO
	}
	if v.moved.Load() || by != v && v.up.Load() {
		return xen.EINVAL
	}
	p, err := v.Dom.Memory.PageAt(g)
	if err != nil {
		return xen.EINVAL
	}
	if !v.moved.CompareAndSwap(false, true) {
		return xen.EINVAL
	}
	fresh := v.info.Load().Page == v.Dom.noInfo
	in := evtchn.VCPUInfo{Page: p, Off: off}
	v.info.Store(&in)
	v.Dom.Events.MoveVCPUInfo(v.ID, in, fresh)
	v.Dom.writeTime(in)
	v.Dom.host.VCPUInfo(v.ID, g.GPA()+guestmem.GPA(off))
	if v.PV != nil {
		v.PV.SetInfo(g, off)
	}
	return 0
}

// Info gives the place of vcpu_info. Any goroutine.
func (v *VCPU) Info() evtchn.VCPUInfo { return *v.info.Load() }

// RegisterTime makes a second pvclock record follow at a guest-virtual address (VCPUOP_register_vcpu_time_memory_area); 0 for none.
func (v *VCPU) RegisterTime(va uint64) {
	v.timeArea.Store(va)
	v.staleTime.Store(true)
	v.Kick()
}

// UpdateTime writes the second pvclock record if it is due. The vCPU loop calls it before entering the guest; it costs one load
// when there is nothing to do.
func (v *VCPU) UpdateTime() {
	if !v.staleTime.Load() || !v.staleTime.Swap(false) {
		return
	}
	va := v.timeArea.Load()
	if va == 0 {
		return
	}
	b := v.buf[:xen.VCPUTimeInfoSize]
	if v.Virt.ReadVirt(va, b[:4]) != nil {
		return
	}
	r := v.Dom.Clock.Record()
	r.Version = (uint32(b[0])|uint32(b[1])<<8|uint32(b[2])<<16|uint32(b[3])<<24)&^1 + 1
	for range 2 { // first all fields under an odd version, then the even version
		e := xen.Encoder(v.Dom.ABI(), b)
		r.Layout(&e)
		_ = v.Virt.WriteVirt(va, b) // a guest that unmapped its area goes without
		r.Version++
	}
	if at, err := v.Virt.Translate(va); err == nil && at&(guestmem.PageSize-1) <= guestmem.PageSize-xen.VCPUTimeInfoSize {
		v.Dom.host.TimeInfo(v.ID, at)
	}
}

// RegisterRunstate makes the run state account follow at a guest-virtual address. The area is written at once if the vCPU registers its
// own, else when it next runs.
func (v *VCPU) RegisterRunstate(by *VCPU, va uint64) {
	v.runArea.Store(va)
	if by == v {
		v.writeRunstate()
	}
}

// SetRunstate enters a RUNSTATE_ and writes the guest's area. The vCPU loop calls it when it blocks, waits or
// runs on.
func (v *VCPU) SetRunstate(state uint32) {
	now := v.Dom.Clock.Now()
	v.runMu.Lock()
	same := v.run.State() == state
	if !same {
		v.run.Set(state, now)
	}
	v.runMu.Unlock()
	if !same {
		v.writeRunstate()
	}
}

func (v *VCPU) writeRunstate() {
	va := v.runArea.Load()
	if va == 0 {
		return
	}
	v.runMu.Lock()
	i := v.run.Info(0) // as of the last change
	v.runMu.Unlock()
	update := v.Dom.Assist(xen.VMASST_TYPE_runstate_update_flag)
	if update {
		i.StateEntryTime |= xen.XEN_RUNSTATE_UPDATE
	}
	c := xen.Encoder(v.Dom.ABI(), v.buf[:])
	i.Layout(&c)
	if v.Virt.WriteVirt(va, v.buf[:c.Size()]) != nil || !update {
		return
	}
	i.StateEntryTime &^= xen.XEN_RUNSTATE_UPDATE
	c = xen.Encoder(v.Dom.ABI(), v.buf[:])
	i.Layout(&c)
	_ = v.Virt.WriteVirt(va, v.buf[:c.Size()])
}

// Runstate gives the account now, in nanoseconds. Any goroutine.
func (v *VCPU) Runstate() xen.VCPURunstateInfo {
	now := v.Dom.Clock.Now()
	v.runMu.Lock()
	defer v.runMu.Unlock()
	return v.run.Info(now)
}
