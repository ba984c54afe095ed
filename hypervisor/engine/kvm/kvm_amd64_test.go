package kvm

import (
	"runtime"
	"testing"
	"time"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// open gives the host's KVM, or skips.
func open(t testing.TB) *System {
	t.Helper()
	s, err := Open("")
	if err != nil {
		t.Skipf("needs /dev/kvm: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// newGuest makes a vCPU in flat 32-bit mode that executes code at 0x1000.
func newGuest(t testing.TB, cfg Config, code string) (*VM, engine.VCPU) {
	t.Helper()
	runtime.LockOSThread() // a vCPU stays on its thread: kicks go there
	t.Cleanup(runtime.UnlockOSThread)
	s := open(t)
	mem, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 4 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Memory, cfg.CPUID = mem, func(int) []x86.CPUIDLeaf { l, _ := s.SupportedCPUID(); return l }
	vm, err := s.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vm.Close(); mem.Close() })
	if err := mem.Write(0x1000, []byte(code)); err != nil {
		t.Fatal(err)
	}
	c, err := vm.NewVCPU(0)
	if err != nil {
		t.Fatal(err)
	}
	st := x86.State{RIP: 0x1000, RFLAGS: 2, CR0: x86.CR0PE | x86.CR0ET, PAT: x86.PATReset, XCR0: 1, MiscEnable: 1}
	for i := range st.Seg {
		st.Seg[i] = x86.Segment{Attr: 0xc093, Limit: 0xffffffff}
	}
	st.Seg[x86.CS].Attr = 0xc09b
	st.TR = x86.Segment{Attr: 0x8b, Limit: 0x67}
	st.LDTR = x86.Segment{Attr: x86.AttrUnusable}
	st.DR[6], st.DR[7] = 0xffff0ff0, 0x400
	st.FX.FCW, st.FX.MXCSR = 0x37f, x86.MXCSRReset
	if err := c.Set(&st); err != nil {
		t.Fatal(err)
	}
	return vm, c
}

func step(t testing.TB, c engine.VCPU, e *engine.Exit, want engine.Kind) {
	t.Helper()
	for {
		if err := c.Run(e); err != nil {
			t.Fatal(err)
		}
		if e.Kind != engine.ExitSignal {
			break
		}
	}
	if e.Kind != want {
		t.Fatalf("exit %v (%s), want %v", e.Kind, e.Reason, want)
	}
}

func TestRun_portsAndHypercalls(t *testing.T) {
	// mov $0x12345678,%eax; out %al,$0x80; in $0x81,%eax; out %al,$0xe7 (a hypercall); mov %eax,0x2000; hlt
	_, c := newGuest(t, Config{HypercallPort: 0xe7}, "\xb8\x78\x56\x34\x12\xe6\x80\xe5\x81\xe6\xe7\xa3\x00\x20\x00\x00\xf4")
	var e engine.Exit
	step(t, c, &e, engine.ExitIO)
	if e.Port != 0x80 || !e.Write || e.Size != 1 || e.Data != 0x78 {
		t.Errorf("out: %+v", e)
	}
	step(t, c, &e, engine.ExitIO)
	if e.Port != 0x81 || e.Write || e.Size != 4 {
		t.Errorf("in: %+v", e)
	}
	e.Data = 0xcafe
	step(t, c, &e, engine.ExitHypercall)
	if c.Regs()[x86.RAX] != 0xcafe || c.Mode() != (engine.Mode{}) {
		t.Errorf("hypercall: rax %#x, %+v", c.Regs()[x86.RAX], c.Mode())
	}
	c.Regs()[x86.RAX] = 0x1111
	var s x86.State
	c.Get(&s)
	if s.GPR[x86.RAX] != 0x1111 || s.RIP != 0x100b {
		t.Errorf("after the call is settled: rax %#x rip %#x", s.GPR[x86.RAX], s.RIP)
	}
	step(t, c, &e, engine.ExitHLT)
	if e.Interruptible {
		t.Error("halted with interrupts off, but interruptible")
	}
	vm := c.(*VCPU).vm
	if v, _ := vm.Memory().Read32(0x2000); v != 0x1111 {
		t.Errorf("the result in memory is %#x", v)
	}
}

func TestKick_endsASpin(t *testing.T) {
	_, c := newGuest(t, Config{}, "\xeb\xfe")
	var e engine.Exit
	c.Kick()
	step(t, c, &e, engine.ExitKick)
	for range 20 {
		go func() { time.Sleep(time.Millisecond); c.Kick() }()
		step(t, c, &e, engine.ExitKick)
	}
}
