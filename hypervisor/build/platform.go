package build

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"gozen/hypervisor/acpi"
	"gozen/hypervisor/apic"
	"gozen/hypervisor/control"
	"gozen/hypervisor/domain"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/cpuid"
	"gozen/hypervisor/xen"
)

// sleepPort is the sleep control register that FADT announces; behind it lies the sleep status register.
const sleepPort = 0xb004

const (
	portPIT0   = 0x40
	portPIT3   = 0x43
	portKBC    = 0x64
	portSystem = 0x61
	portReset  = 0xcf9
	kbcReset   = 0xfe
)

// Port implements vcpu.Platform. A PVH domain has no legacy devices: absent ports read all ones at once. The PIT's ports read 0,
// because Linux's calibration loop reads port 0x42 up to 100,000 times as long as it sees ones, and gives up at once on zeros.
func (m *Machine) Port(port uint16, size uint8, write bool, v uint32) uint32 {
	if m.pc != nil {
		return m.pc.Port(port, size, write, v)
	}
	switch {
	case port >= portPIT0 && port <= portPIT3 || port == portSystem:
		return 0
	case port == sleepPort+1:
		return 0x80 // awake
	case write && port == sleepPort && byte(v) == acpi.SleepS5:
		m.dom.Shutdown(xen.SHUTDOWN_poweroff)
	case write && port == portKBC && byte(v) == kbcReset, write && port == portReset && v&4 != 0:
		m.dom.Shutdown(xen.SHUTDOWN_reboot)
	}
	return ^uint32(0) >> (32 - 8*uint32(size))
}

// CPUID implements vcpu.Platform.
func (m *Machine) CPUID(id int, leaf, sub uint32) (a, b, c, d uint32) {
	if leaf>>24 == 0x40 {
		a, b, c, d, _ = m.dom.VCPUs[id].XenLeaf(leaf, sub)
		return a, b, c, d
	}
	if m.sys != nil {
		for _, l := range m.leaves {
			if l.Leaf == leaf && (!l.Indexed || l.Sub == sub) {
				return l.A, l.B, l.C, l.D
			}
		}
		return 0, 0, 0, 0
	}
	r := cpuid.Soft(leaf, sub, cpuid.Processor{APICID: apic.APICID(id), VCPUs: m.vcpus()})
	if m.pv != nil {
		r = cpuid.PV(leaf, sub, r)
	}
	return r.A, r.B, r.C, r.D
}

// HypercallPage implements vcpu.Platform.
func (m *Machine) HypercallPage() *[guestmem.PageSize]byte { return &m.hyper }

// Crashed implements vcpu.Platform.
func (m *Machine) Crashed(id int, why string) {
	if m.a64 != nil {
		m.a64.crashed(m.dom, id, why)
		return
	}
	var s x86.State
	m.loops[id].Eng.Get(&s)
	m.dom.Crash(id, why, &s)
}

// TripleFault implements vcpu.Platform. A kernel that reboots by emptying its IDT means it; any other triple fault is a crash
// (Xen reboots on both: see QUIRKS.md).
func (m *Machine) TripleFault(id int) {
	var s x86.State
	m.loops[id].Eng.Get(&s)
	if s.IDTR.Limit == 0 {
		m.dom.Shutdown(xen.SHUTDOWN_reboot)
		return
	}
	m.dom.Crash(id, fmt.Sprintf("triple fault at rip %#x", s.RIP), &s)
}

// Send implements apic.Bus: it carries an interrupt command to the vCPUs it names.
func (m *Machine) Send(c apic.Command) {
	lowest := c.Mode == apic.ModeLowest
	for _, l := range m.loops {
		if l.APIC.Accepts(&c) {
			l.Deliver(&c)
			if lowest {
				return
			}
		}
	}
}

// consoleIO makes lines of what the guest writes with HYPERVISOR_console_io.
type consoleIO struct{ ring *control.Ring }

func (c consoleIO) Write(p []byte) (int, error) {
	if c.ring == nil {
		return len(p), nil
	}
	return c.ring.Write(p)
}

var _ io.Writer = consoleIO{}

// onShutdown ends the machine; it is called from a vCPU's goroutine or a backend's.
func (m *Machine) onShutdown(s domain.Shutdown) {
	r := control.Reason{Code: control.ReasonDestroyed}
	for _, c := range []string{control.ReasonPoweroff, control.ReasonReboot, control.ReasonSuspend, control.ReasonCrash,
		control.ReasonWatchdog, control.ReasonSoftReset} {
		if control.ReasonNumber(c) == int(s.Reason) {
			r.Code = c
		}
	}
	r.Text, r.Detail = s.Text, s.Detail
	if s.Regs != nil {
		r.Detail = dump(s.VCPU, s.Regs) + "\n" + m.loops[s.VCPU].Tail() // registers come from the vCPU's own goroutine
	}
	go m.finish(r)
}

var gprNames = [16]string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}

// dump formats a vCPU's registers for people.
func dump(id int, s *x86.State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "vcpu %d\nrip %016x rflags %08x cs %04x ss %04x\n", id, s.RIP, s.RFLAGS, s.Seg[x86.CS].Selector, s.Seg[x86.SS].Selector)
	for i, n := range gprNames {
		sep := " "
		if i%4 == 3 {
			sep = "\n"
		}
		fmt.Fprintf(&b, "%-3s %016x%s", n, s.GPR[i], sep)
	}
	fmt.Fprintf(&b, "cr0 %08x cr2 %016x cr3 %016x cr4 %08x efer %x\n", s.CR0, s.CR2, s.CR3, s.CR4, s.EFER)
	fmt.Fprintf(&b, "idt %016x+%x gdt %016x+%x fs %016x gs %016x", s.IDTR.Base, s.IDTR.Limit, s.GDTR.Base, s.GDTR.Limit,
		s.Seg[x86.FS].Base, s.Seg[x86.GS].Base)
	return b.String()
}

func stack() []byte { return debug.Stack() }
