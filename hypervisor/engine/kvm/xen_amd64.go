package kvm

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/guestmem"
)

const (
	kvmXenHVMConfig = 0x4038ae7a
	kvmXenHVMSet    = 0x4048aec9
	kvmXenVCPUSet   = 0x4048aecb
	kvmXenSend      = 0x400caed0

	// VM attributes
	xenLongMode   = 0
	xenSharedPage = 1
	// vCPU attributes
	xenVCPUInfo     = 0
	xenVCPUTimeInfo = 1
	xenVCPUID       = 6
	xenVCPUTimer    = 7
	xenVCPUVector   = 8

	xenTwoLevelPriority = 0xffffffff
	xenNoFrame          = ^uint64(0)
)

// xenConfig is struct kvm_xen_hvm_config.
type xenConfig struct {
	flags, msr uint32
	_          [2]uint64 // pages to copy: there are none with interception
	_          [32]uint8
}

// xenAttr is struct kvm_xen_hvm_attr, and kvm_xen_vcpu_attr has the same shape.
type xenAttr struct {
	typ uint16
	_   [3]uint16
	u   [8]uint64
}

// configureXen makes the host hand over VMCALL and VMMCALL. The hypercall page stays ours: its MSR is hidden from the host, but has to be
// named for the interception to be switched on.
func (vm *VM) configureXen() error {
	x := &xenConfig{flags: xenIntercept, msr: 0x40000000}
	if vm.cfg.Chip == ChipXen {
		x.flags |= xenSend
	}
	if err := request(vm.fd, kvmXenHVMConfig, x); err != nil {
		return fail("intercept hypercalls", err)
	}
	return vm.setXen(xenLongMode, 1)
}

func (vm *VM) setXen(typ uint16, v uint64) error {
	a := &xenAttr{typ: typ}
	a.u[0] = v
	if err := request(vm.fd, kvmXenHVMSet, a); err != nil {
		return fail(fmt.Sprintf("set Xen attribute %d of the VM", typ), err)
	}
	return nil
}

// post has f done on a vCPU's own thread, before it next enters the guest: a request from another thread would wait until it leaves
// it.
func (vm *VM) post(id int, f func(*VCPU)) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if id >= len(vm.cpus) {
		return
	}
	c := vm.cpus[id]
	c.todoMu.Lock()
	c.todo = append(c.todo, f)
	c.todoMu.Unlock()
	c.asks.Or(askWork)
	c.Kick()
}

// catchUp does what was posted.
func (c *VCPU) catchUp() {
	c.todoMu.Lock()
	list := c.todo
	c.todo = nil
	c.asks.And(^askWork)
	c.todoMu.Unlock()
	for _, f := range list {
		f(c)
	}
}

// setVCPU sets an attribute of a vCPU.
func (vm *VM) setVCPU(id int, typ uint16, v uint64) {
	vm.post(id, func(c *VCPU) { c.setXen(typ, v) })
}

func (c *VCPU) setXen(typ uint16, v uint64) {
	a := &xenAttr{typ: typ}
	a.u[0] = v
	if err := request(c.fd, kvmXenVCPUSet, a); err != nil {
		c.note(fail(fmt.Sprintf("set Xen attribute %d of a vCPU", typ), err))
	}
}

// note keeps an error for the next Run of any vCPU.
func (m *machine) note(err error) {
	if err != nil {
		m.err.CompareAndSwap(nil, &err)
	}
}

// SharedInfo implements domain.HostEvents, as do the following.
func (vm *VM) SharedInfo(g guestmem.GFN, mapped bool) {
	if vm.cfg.Chip != ChipXen {
		return
	}
	v := xenNoFrame
	if mapped {
		v = uint64(g)
	}
	vm.note(vm.setXen(xenSharedPage, v))
}

// VCPUInfo implements domain.HostEvents.
func (vm *VM) VCPUInfo(id int, at guestmem.GPA) {
	if vm.cfg.Chip == ChipXen {
		vm.setVCPU(id, xenVCPUInfo, uint64(at))
	}
}

// TimeInfo implements domain.HostEvents.
func (vm *VM) TimeInfo(id int, at guestmem.GPA) {
	if vm.cfg.Chip == ChipXen {
		vm.setVCPU(id, xenVCPUTimeInfo, uint64(at))
	}
}

// firstVector is the lowest that a local APIC takes (SDM 3A 10.5.2). A guest that names a lower one gets no callbacks.
const firstVector = 16

// Callback implements domain.HostEvents.
func (vm *VM) Callback(vector uint8) {
	if vector < firstVector {
		vector = 0
	}
	vm.callback.Store(uint32(vector))
	for id := range vm.count() {
		vm.post(id, func(c *VCPU) {
			c.setCallback(vector)
			if vm.cfg.Chip == ChipXen && c.own == 0 {
				c.setXen(xenVCPUVector, uint64(vector))
			}
		})
	}
}

func (vm *VM) count() int {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	return len(vm.cpus)
}

// UpcallVector implements domain.HostEvents. The guest ends interrupts of its own vector itself.
func (vm *VM) UpcallVector(id int, vector uint8) {
	vm.post(id, func(c *VCPU) {
		c.own = vector
		if vector != 0 && uint32(vector) == vm.callback.Load() {
			c.setCallback(0)
		}
		if vm.cfg.Chip == ChipXen {
			c.setXen(xenVCPUVector, uint64(vector))
		}
	})
}

// TimerPort implements domain.HostEvents.
func (vm *VM) TimerPort(id int, port uint32) {
	if vm.cfg.Chip == ChipXen {
		vm.setVCPU(id, xenVCPUTimer, uint64(port)|xenTwoLevelPriority<<32)
	}
}

// Width implements domain.HostEvents.
func (vm *VM) Width(long bool) {
	if vm.cfg.Chip == ChipXen {
		v := uint64(0)
		if long {
			v = 1
		}
		vm.note(vm.setXen(xenLongMode, v))
	}
}

// xenEvent is struct kvm_irq_routing_xen_evtchn.
type xenEvent struct{ port, vcpu, priority uint32 }

// Send implements domain.HostEvents. KVM numbers vCPUs for it by their APIC ids.
func (vm *VM) Send(port uint32, id int) bool {
	if vm.cfg.Chip != ChipXen {
		return false
	}
	e := &xenEvent{port: port, vcpu: uint32(2 * id), priority: xenTwoLevelPriority}
	_, err := ioctl(vm.fd, kvmXenSend, addr(e))
	keep(e)
	return err == nil || errors.Is(err, unix.ENOTCONN)
}

// hostClock gives the system time that the host tells the guest.
func (vm *VM) hostClock() (ns uint64, ok bool) {
	var d clockData
	if request(vm.fd, kvmGetClock, &d) != nil {
		return 0, false
	}
	if d.flags&clockHostTSC != 0 {
		return d.clock + vm.nanoseconds(rdtsc()-d.hostTSC), true
	}
	return d.clock, true
}
