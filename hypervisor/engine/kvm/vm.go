package kvm

import (
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/guestmem"
)

// machine is the part of a VM that all architectures share. Its methods may be called from any goroutine.
type machine struct {
	sys *System
	fd  int
	mem *guestmem.Memory

	mu      sync.Mutex // guards slots and growing threads
	slots   slotTable
	threads []*thread
	err     atomic.Pointer[error]
}

// open makes the VM with slots for mem.
func (m *machine) open(s *System, mem *guestmem.Memory) error {
	fd, err := s.makeVM()
	if err != nil {
		return fail("create a VM", err)
	}
	m.sys, m.fd, m.mem = s, fd, mem
	m.slots = slotTable{vm: fd, mem: mem, limit: s.MaxSlots}
	return nil
}

// follow makes the slots and keeps them equal to guest memory from now on.
func (m *machine) follow() error {
	if err := m.slots.fill(); err != nil {
		return err
	}
	m.mem.OnChange(m.changed)
	return nil
}

// Memory gives the guest's memory.
func (m *machine) Memory() *guestmem.Memory { return m.mem }

// Close gives the VM back to the host. No vCPU may be running.
func (m *machine) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.threads {
		t.close()
	}
	m.threads = nil
	if m.fd < 0 {
		return nil
	}
	err := unix.Close(m.fd)
	m.fd = -1
	return err
}

// changed follows a change of the guest's memory map; the caller may be a vCPU's own goroutine, between two runs.
func (m *machine) changed(first guestmem.GFN, n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fd < 0 {
		return
	}
	m.stopped(func() {
		if err := m.slots.update(first, n); err != nil {
			m.err.CompareAndSwap(nil, &err) // the next Run reports it: the guest cannot go on with a wrong map
		}
	})
}

// stopped calls f while no vCPU is in the guest; the caller holds mu.
func (m *machine) stopped(f func()) {
	for _, t := range m.threads {
		t.asks.Or(askGate)
	}
	for _, t := range m.threads {
		t.leave()
	}
	f()
	for _, t := range m.threads {
		t.asks.And(^askGate)
	}
}

// StartDirtyLog makes KVM note the frames that the guest writes to.
func (m *machine) StartDirtyLog() error { return m.log(true) }

// StopDirtyLog ends that.
func (m *machine) StopDirtyLog() error { return m.log(false) }

func (m *machine) log(on bool) (err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped(func() { err = m.slots.log(on) })
	return err
}

// CollectDirty calls f for each run of frames from first on with the frames written to since the last call: bit i%64 of word i/64 is
// frame first+i.
func (m *machine) CollectDirty(f func(first guestmem.GFN, bitmap []uint64)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.slots.collect(f)
}

// enable switches a capability on.
func (m *machine) enable(c uint32, what string, args ...uint64) error {
	e := enableCap{cap: c}
	copy(e.args[:], args)
	if err := request(m.fd, kvmEnableCap, &e); err != nil {
		return fail(what, err)
	}
	return nil
}

// newThread makes the vCPU with a number of KVM's (on x86 its APIC id) and maps its shared page.
func (m *machine) newThread(id int) (*thread, error) {
	fd, err := ioctl(m.fd, kvmCreateVCPU, uintptr(id))
	if err != nil {
		return nil, fmt.Errorf("kvm: create vCPU with id %d: %w (this host allows %d)", id, err, m.sys.MaxVCPUs)
	}
	run, err := unix.Mmap(fd, 0, m.sys.mmapSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fail("map a vCPU's shared page", err)
	}
	t := &thread{m: m, fd: fd, run: run, raw: true}
	t.words()
	t.asks.Store(askBind)
	m.mu.Lock()
	m.threads = append(m.threads, t)
	m.mu.Unlock()
	return t, nil
}

// await returns when a change of memory slots that is under way is over.
func (m *machine) await() {
	m.mu.Lock()
	defer m.mu.Unlock()
}
