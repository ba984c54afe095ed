package kvm

import (
	"encoding/binary"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"gozen/hypervisor/a64"
	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// Instructions of the test guests (Arm ARM C6.2).
func movz(rd, imm, shift uint32) uint32 { return 0xd2800000 | shift/16<<21 | imm<<5 | rd }
func movk(rd, imm, shift uint32) uint32 { return 0xf2800000 | shift/16<<21 | imm<<5 | rd }
func strW(rt, rn, off uint32) uint32    { return 0xb9000000 | off/4<<10 | rn<<5 | rt }
func strX(rt, rn, off uint32) uint32    { return 0xf9000000 | off/8<<10 | rn<<5 | rt }
func ldrX(rt, rn, off uint32) uint32    { return 0xf9400000 | off/8<<10 | rn<<5 | rt }
func ldp(rt, rt2, rn uint32) uint32     { return 0xa9400000 | rt2<<10 | rn<<5 | rt }
func jump(words int) uint32             { return 0x14000000 | uint32(words)&0x3ffffff }

// sys gives MSR (or MRS, read) of S3_op1_Cn_Cm_op2.
func sys(read bool, op1, cn, cm, op2, rt uint32) uint32 {
	w := uint32(0xd5180000) | op1<<16 | cn<<12 | cm<<8 | op2<<5 | rt
	if read {
		w |= 1 << 21
	}
	return w
}

// word loads a 32-bit constant.
func word(rd, v uint32) []uint32 { return []uint32{movz(rd, v&0xffff, 0), movk(rd, v>>16, 16)} }

const (
	wfi      = 0xd503207f
	isb      = 0xd5033fdf
	irqsOn   = 0xd50342ff // MSR DAIFClr, #2
	ramAt    = 0x40000000
	vectors  = ramAt + 0x10000
	serial   = 0x09000000 // nothing is there
	gicd     = 0x03000000
	gicr     = 0x03020000
	upcall   = 31
	codeSize = 0x1000
)

var callXen = a64.HVC(xen.XEN_HYPERCALL_TAG)

func code(parts ...[]uint32) (out []uint32) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func is(w ...uint32) []uint32 { return w }

type machineTest struct {
	*testing.T
	vm   *VM
	mem  *guestmem.Memory
	cpus []engine.A64VCPU
}

// newMachine makes vCPUs; code runs at ramAt with the MMU off.
func newMachine(t *testing.T, vcpus int, text []uint32) *machineTest {
	t.Helper()
	s, err := Open("")
	if err != nil {
		t.Skipf("needs an arm64 host with KVM: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	runtime.LockOSThread() // as the owner of a vCPU must be
	t.Cleanup(runtime.UnlockOSThread)
	mem, err := guestmem.New([]guestmem.Range{{Base: ramAt, Size: 4 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	vm, err := s.New(Config{Memory: mem, GICD: gicd, GICR: gicr, UpcallPPI: upcall})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vm.Close(); mem.Close() })
	m := &machineTest{T: t, vm: vm, mem: mem}
	m.put(ramAt, text)
	for i := range vcpus {
		c, err := vm.NewVCPU(i)
		if err != nil {
			t.Fatal(err)
		}
		m.cpus = append(m.cpus, c)
	}
	if err := vm.Ready(); err != nil {
		t.Fatal(err)
	}
	st := a64.State{PC: ramAt, PSTATE: a64.PSTATEBoot, VBAR: vectors}
	st.SCTLR = a64.SCTLRBoot
	if err := m.cpus[0].Set(&st); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *machineTest) put(at guestmem.GPA, text []uint32) {
	var b []byte
	for _, w := range text {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	if err := m.mem.Write(at, b); err != nil {
		m.Fatal(err)
	}
}

// run runs vCPU id to an exit that is no signal's.
func (m *machineTest) run(id int, want engine.Kind) *engine.Exit {
	m.Helper()
	e := &engine.Exit{}
	m.again(id, e, want)
	return e
}

func (m *machineTest) again(id int, e *engine.Exit, want engine.Kind) {
	m.Helper()
	for {
		if err := m.cpus[id].Run(e); err != nil {
			m.Fatal(err)
		}
		if e.Kind != engine.ExitSignal {
			break
		}
	}
	if e.Kind != want {
		var s a64.State
		_ = m.cpus[id].Get(&s)
		m.Fatalf("exit %v (%s), want %v; pc %#x esr %#x far %#x", e.Kind, e.Reason, want, s.PC, s.ESR, s.FAR)
	}
}

func TestHost_names(t *testing.T) {
	s, err := Open("")
	if err != nil {
		t.Skip(err)
	}
	defer s.Close()
	t.Logf("%+v", s.Abilities)
	if !s.Hardware || !strings.HasPrefix(s.Name, "kvm-arm64 ") || s.MaxSlots < 32 {
		t.Errorf("%+v", s.Abilities)
	}
}

func TestModeOf(t *testing.T) {
	for _, tt := range []struct {
		cmdline   string
		vh, known bool
		want      string
	}{{"quiet", true, true, "vhe"}, {"", false, true, "nvhe"}, {"a kvm-arm.mode=nvhe b", true, true, "nvhe"}, {"", true, false, "unknown"},
		{"kvm-arm.mode=protected", true, true, "protected"}, {"id_aa64mmfr1.vh=0", true, true, "nvhe"}} {
		if got := modeOf(tt.cmdline, tt.vh, tt.known); got != tt.want {
			t.Errorf("%q, %v: %s", tt.cmdline, tt.vh, got)
		}
	}
}

func TestVCPU_hypercallAndMMIO(t *testing.T) {
	m := newMachine(t, 1, code(
		is(movz(16, 17, 0), movz(0, 0x1234, 0), movz(1, 0x5678, 0), callXen),
		word(2, serial), is(strX(0, 2, 8), ldrX(3, 2, 16), movz(16, 99, 0), callXen)))
	m.run(0, engine.ExitHypercall)
	c := m.cpus[0]
	if c.X(16) != 17 || c.X(0) != 0x1234 || c.X(1) != 0x5678 {
		t.Errorf("x16 %#x x0 %#x x1 %#x", c.X(16), c.X(0), c.X(1))
	}
	c.SetX(0, 0xfeedfacecafe)
	e := m.run(0, engine.ExitMMIO)
	if !e.Write || e.GPA != serial+8 || e.Size != 8 || e.Data != 0xfeedfacecafe {
		t.Errorf("%+v", e)
	}
	m.again(0, e, engine.ExitMMIO)
	if e.Write || e.GPA != serial+16 || e.Size != 8 {
		t.Errorf("%+v", e)
	}
	e.Data = 0x1122334455667788
	m.again(0, e, engine.ExitHypercall)
	if c.X(16) != 99 || c.X(3) != 0x1122334455667788 {
		t.Errorf("x16 %d x3 %#x", c.X(16), c.X(3))
	}
}

// TestVCPU_callsAreToldApart: the immediate decides what is Xen's, and PSCI stays with the host.
func TestVCPU_callsAreToldApart(t *testing.T) {
	m := newMachine(t, 1, code(
		word(0, 0x8600ff01), is(a64.HVC(0)), // Xen's UID
		word(0, 0x8600ff01), is(callXen), // a hypercall whose argument looks like that
		word(0, 7), is(a64.HVC(0)),
		word(0, 0x84000000), is(a64.HVC(0)), // PSCI_VERSION
		is(movz(16, 5, 0), movk(0, 0, 48), movz(1, 0, 0), callXen),
		word(0, 0x84000009), is(a64.HVC(0)))) // SYSTEM_RESET
	if e := m.run(0, engine.ExitSMCCC); e.Data != 0x8600ff01 {
		t.Errorf("%#x", e.Data)
	}
	m.run(0, engine.ExitHypercall)
	if e := m.run(0, engine.ExitSMCCC); e.Data != 7 {
		t.Errorf("%#x", e.Data)
	}
	m.run(0, engine.ExitHypercall)
	if v := m.cpus[0].X(0); v>>16 != 1 {
		t.Errorf("PSCI version %#x", v)
	}
	if e := m.run(0, engine.ExitShutdown); e.Data != engine.PowerReset {
		t.Errorf("event %d", e.Data)
	}
}

func TestVCPU_powerOff(t *testing.T) {
	m := newMachine(t, 1, code(word(0, 0x84000008), is(a64.HVC(0))))
	if e := m.run(0, engine.ExitShutdown); e.Data != engine.PowerOff {
		t.Errorf("event %d", e.Data)
	}
}

func TestVCPU_kickEndsARunAndTheNextOne(t *testing.T) {
	m := newMachine(t, 2, is(jump(0)))
	for id := range 2 { // the second one is off
		m.cpus[id].Kick()
		m.run(id, engine.ExitKick)
		go func() { time.Sleep(50 * time.Millisecond); m.cpus[id].Kick() }()
		m.run(id, engine.ExitKick)
	}
	if !m.cpus[0].Online() || m.cpus[1].Online() {
		t.Errorf("online: %v %v", m.cpus[0].Online(), m.cpus[1].Online())
	}
}

func TestVCPU_secondStartsByPSCI(t *testing.T) {
	second := uint32(ramAt + codeSize)
	m := newMachine(t, 2, code(word(0, 0xc4000003), is(movz(1, 1, 0)), word(2, second), is(movz(3, 0x77, 0), a64.HVC(0), callXen)))
	m.put(ramAt+codeSize, is(movz(16, 2, 0), callXen))
	m.run(0, engine.ExitHypercall)
	if r := m.cpus[0].X(0); r != 0 {
		t.Fatalf("CPU_ON answered %d", int64(r))
	}
	m.run(1, engine.ExitHypercall)
	if m.cpus[1].X(0) != 0x77 || m.cpus[1].X(16) != 2 || !m.cpus[1].Online() {
		t.Errorf("x0 %#x, online %v", m.cpus[1].X(0), m.cpus[1].Online())
	}
}

// TestVCPU_undecodableAccess: what the host cannot decode ends in the guest's abort handler, or is told as a crash; never in the process.
func TestVCPU_undecodableAccess(t *testing.T) {
	m := newMachine(t, 1, code(word(1, serial), is(ldp(2, 3, 1), jump(0))))
	m.put(vectors+0x200, is(movz(16, 42, 0), callXen))
	if !m.vm.sys.NISV {
		m.run(0, engine.ExitInternal)
		return
	}
	m.run(0, engine.ExitHypercall)
	var s a64.State
	if err := m.cpus[0].Get(&s); err != nil || s.X[16] != 42 || s.FAR != serial {
		t.Errorf("x16 %d far %#x, %v", s.X[16], s.FAR, err)
	}
}

// TestVCPU_upcallIsALevel: the guest takes the upcall again and again while the line is high, whatever it does, and not once more after
// it was lowered. That is what vcpu's watcher is for.
func TestVCPU_upcallIsALevel(t *testing.T) {
	m := newMachine(t, 1, code(
		word(1, gicr+0x10000), word(2, 0xffffffff), is(strW(2, 1, 0x80)), // GICR_IGROUPR0
		word(2, 1<<upcall), is(strW(2, 1, 0x100)), // GICR_ISENABLER0
		word(1, gicd), is(movz(2, 2, 0), strW(2, 1, 0)), // GICD_CTLR: group 1
		is(movz(2, 7, 0), sys(false, 0, 12, 12, 5, 2), isb), // ICC_SRE_EL1
		is(movz(2, 0xff, 0), sys(false, 0, 4, 6, 0, 2)),     // ICC_PMR_EL1
		is(movz(2, 1, 0), sys(false, 0, 12, 12, 7, 2), isb), // ICC_IGRPEN1_EL1
		is(irqsOn, movz(16, 1, 0), callXen, wfi, jump(-1))))
	m.put(vectors+0x280, is(sys(true, 0, 12, 12, 0, 5), movz(16, 2, 0), callXen, // ICC_IAR1_EL1
		sys(false, 0, 12, 12, 1, 5), 0xd69f03e0)) // ICC_EOIR1_EL1, ERET
	c := m.cpus[0]
	m.run(0, engine.ExitHypercall)
	if c.X(16) != 1 {
		t.Fatalf("x16 %d", c.X(16))
	}
	if err := c.SetUpcall(true); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		m.run(0, engine.ExitHypercall)
		if c.X(16) != 2 || c.X(5) != upcall {
			t.Fatalf("upcall %d: x16 %d, interrupt %d", i, c.X(16), c.X(5))
		}
	}
	if err := c.SetUpcall(false); err != nil {
		t.Fatal(err)
	}
	go func() { time.Sleep(100 * time.Millisecond); c.Kick() }()
	m.run(0, engine.ExitKick)
	go func() { _ = c.SetUpcall(true) }() // from another thread, while the guest waits
	m.run(0, engine.ExitHypercall)
	if c.X(16) != 2 {
		t.Errorf("x16 %d", c.X(16))
	}
}

// TestMemory_followsTheMap: pages that are mapped, replaced and taken away while a vCPU exists are what the guest sees.
func TestMemory_followsTheMap(t *testing.T) {
	const at = 0x38000000
	m := newMachine(t, 1, code(word(1, at), is(ldrX(2, 1, 0), callXen, jump(-2))))
	e := m.run(0, engine.ExitMMIO)
	p, err := m.mem.NewPage()
	if err != nil {
		t.Fatal(err)
	}
	p.Store64(0, 0xabc)
	if err := m.mem.Map(at>>12, p); err != nil {
		t.Fatal(err)
	}
	m.again(0, e, engine.ExitHypercall)
	m.run(0, engine.ExitHypercall)
	if v := m.cpus[0].X(2); v != 0xabc {
		t.Errorf("%#x", v)
	}
	m.mem.Unmap(at >> 12)
	m.run(0, engine.ExitMMIO)
}

// TestLayouts_sizes: the structures have the sizes that the request numbers say.
func TestLayouts_sizes(t *testing.T) {
	for name, tt := range map[string]struct {
		req  uintptr
		size uintptr
	}{
		"kvm_vcpu_init": {kvmVCPUInit, reflect.TypeFor[vcpuInit]().Size()}, "kvm_one_reg": {kvmGetOneReg, reflect.TypeFor[oneReg]().Size()},
		"kvm_vcpu_events": {kvmSetVCPUEvents, reflect.TypeFor[vcpuEvents]().Size()}, "kvm_irq_level": {kvmIRQLine, reflect.TypeFor[irqLevel]().Size()},
		"kvm_create_device": {kvmCreateDevice, reflect.TypeFor[createDevice]().Size()}, "kvm_device_attr": {kvmSetDeviceAttr, reflect.TypeFor[deviceAttr]().Size()},
	} {
		if want := tt.req >> 16 & 0x3fff; want != tt.size {
			t.Errorf("%s: %d bytes, the request takes %d", name, tt.size, want)
		}
	}
	if n := reflect.TypeFor[smcccFilter]().Size(); n != 24 {
		t.Errorf("kvm_smccc_filter: %d bytes", n)
	}
}
