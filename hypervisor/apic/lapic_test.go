package apic

import "testing"

// bus keeps what was sent.
type bus struct{ sent []Command }

func (b *bus) Send(c Command) { b.sent = append(b.sent, c) }

// enabled gives an APIC switched on by software, in xAPIC or x2APIC mode.
func enabled(t *testing.T, id int, x2 bool) (*LAPIC, *bus) {
	t.Helper()
	b := &bus{}
	l := New(id, b)
	if x2 && !l.SetBase(l.Base()|BaseX2APIC) {
		t.Fatal("x2APIC refused")
	}
	if !l.Write(RegSVR, 0x1ff, 0) {
		t.Fatal("SVR refused")
	}
	return l, b
}

func TestPending_priorities(t *testing.T) {
	l, _ := enabled(t, 0, true)
	l.Fire(0x41)
	l.Fire(0x52)
	if v, ok := l.Pending(); !ok || v != 0x52 {
		t.Fatalf("pending %#x %v, want 0x52", v, ok)
	}
	l.Accept(0x52)
	if v, ok := l.Pending(); ok {
		t.Errorf("%#x is pending below the one in service", v)
	}
	l.Fire(0x53) // the same class as the one in service
	if v, ok := l.Pending(); ok {
		t.Errorf("%#x is pending in the class in service", v)
	}
	if !l.Write(RegEOI, 0, 0) {
		t.Fatal("EOI refused")
	}
	if v, _ := l.Pending(); v != 0x53 {
		t.Errorf("pending %#x after EOI, want 0x53", v)
	}
	l.SetTPR(0x50)
	if v, ok := l.Pending(); ok {
		t.Errorf("%#x is pending at task priority 5", v)
	}
	l.SetTPR(0x4f)
	if v, _ := l.Pending(); v != 0x53 {
		t.Errorf("pending %#x at task priority 4", v)
	}
}

func TestFire_disabled(t *testing.T) {
	l := New(0, &bus{})
	l.Fire(0x41) // refused: software has not enabled the APIC
	l.Set(0x42)  // kept for later
	if v, ok := l.Pending(); ok {
		t.Errorf("%#x delivered by a disabled APIC", v)
	}
	l.Write(RegSVR, 0x1ff, 0)
	if v, _ := l.Pending(); v != 0x42 {
		t.Errorf("pending %#x, want 0x42", v)
	}
}

func TestSetBase_transitions(t *testing.T) {
	const off, x, x2, bad = 0, BaseEnable, BaseEnable | BaseX2APIC, BaseX2APIC
	for _, c := range []struct {
		from, to uint64
		ok       bool
	}{{x, x2, true}, {x2, off, true}, {x2, x, false}, {x, off, true}, {off, x, true}, {off, x2, false}, {x, bad, false}, {x2, bad, false}} {
		l := New(0, &bus{})
		for _, step := range map[uint64][]uint64{off: {off}, x: {}, x2: {x2}}[c.from] {
			if !l.SetBase(BaseAddr | step) {
				t.Fatalf("cannot reach %#x", c.from)
			}
		}
		if got := l.SetBase(BaseAddr | c.to); got != c.ok {
			t.Errorf("%#x to %#x: %v, want %v", c.from, c.to, got, c.ok)
		}
	}
	if New(0, &bus{}).SetBase(BaseAddr | BaseEnable | 1) {
		t.Error("reserved bit accepted")
	}
}

func TestCommand_destinations(t *testing.T) {
	var all []*LAPIC
	for i := range 3 {
		l, _ := enabled(t, i, true)
		all = append(all, l)
	}
	for _, c := range []struct {
		name string
		cmd  Command
		want []bool
	}{
		{"physical", Command{Dest: APICID(2), X2: true}, []bool{false, false, true}},
		{"physical broadcast", Command{Dest: 0xffffffff, X2: true}, []bool{true, true, true}},
		{"logical cluster", Command{Dest: 1<<APICID(0) | 1<<APICID(1), Logical: true, X2: true}, []bool{true, true, false}},
		{"self", Command{Short: 1, From: 1}, []bool{false, true, false}},
		{"all", Command{Short: 2, From: 1}, []bool{true, true, true}},
		{"others", Command{Short: 3, From: 1}, []bool{true, false, true}},
	} {
		for i, l := range all {
			if got := l.Accepts(&c.cmd); got != c.want[i] {
				t.Errorf("%s: APIC %d %v", c.name, i, got)
			}
		}
	}
}

func TestICR_decodesCommands(t *testing.T) {
	l, b := enabled(t, 1, true)
	l.Write(RegICR, uint64(APICID(3))<<32|0x4608, 0) // SIPI, vector 8
	l.Write(RegSelfIPI, 0x99, 0)
	l.Write(RegICR, 0x8500, 0) // INIT level de-assert: nothing
	x, xb := enabled(t, 0, false)
	x.Write(RegICR2, 2<<24, 0)
	x.Write(RegICR, 0x4500, 0) // INIT
	want := []Command{{Mode: ModeStartup, Vector: 8, Dest: APICID(3), Assert: true, From: 1, X2: true},
		{Vector: 0x99, Short: 1, Assert: true, From: 1, X2: true}}
	if len(b.sent) != 2 || b.sent[0] != want[0] || b.sent[1] != want[1] {
		t.Errorf("sent %+v, want %+v", b.sent, want)
	}
	if len(xb.sent) != 1 || xb.sent[0] != (Command{Mode: ModeINIT, Dest: 2, Assert: true}) {
		t.Errorf("xAPIC sent %+v", xb.sent)
	}
}

func TestTimer_modes(t *testing.T) {
	l, _ := enabled(t, 0, true)
	l.Write(RegTimerDiv, 0b0011, 0) // divide by 16
	l.Write(RegLVTTimer, 0x40, 0)
	l.Write(RegTimerInit, 100, 1000)
	if d, ok := l.Deadline(); !ok || d != 1000+1600 {
		t.Errorf("one-shot deadline %d %v", d, ok)
	}
	if v, _ := l.Read(RegTimerCur, 1800); v != 50 {
		t.Errorf("current count %d half way, want 50", v)
	}
	l.Expire(2599)
	if _, ok := l.Pending(); ok {
		t.Error("fired early")
	}
	l.Expire(2600)
	if v, _ := l.Pending(); v != 0x40 {
		t.Errorf("pending %#x", v)
	}
	if _, ok := l.Deadline(); ok {
		t.Error("a one-shot timer goes on")
	}
	l.Accept(0x40)
	l.Write(RegEOI, 0, 0)

	l.Write(RegLVTTimer, 1<<17|0x41, 0) // periodic
	l.Write(RegTimerInit, 10, 0)
	l.Expire(500) // three periods of 160 have passed
	if d, _ := l.Deadline(); d != 640 {
		t.Errorf("periodic deadline %d, want 640", d)
	}

	l.Write(RegLVTTimer, 2<<17|0x42, 0) // TSC deadline
	l.Write(RegTimerInit, 10, 0)
	if _, ok := l.Deadline(); ok {
		t.Error("the initial count works in TSC-deadline mode")
	}
	l.SetTSCDeadline(777)
	if l.TSCDeadline() != 777 {
		t.Error("TSC deadline not kept")
	}
	l.Expire(777)
	if v, _ := l.Pending(); v != 0x42 || l.TSCDeadline() != 0 {
		t.Errorf("pending %#x, deadline %d", v, l.TSCDeadline())
	}
}

func TestRegisters_x2APICFaults(t *testing.T) {
	l, _ := enabled(t, 0, true)
	for _, reg := range []uint32{RegID, RegVersion, RegPPR, RegDFR, RegICR2, 0x3d} {
		if l.Write(reg, 0, 0) {
			t.Errorf("write of %#x accepted in x2APIC mode", reg)
		}
	}
	if l.Write(RegEOI, 1, 0) {
		t.Error("EOI with a value accepted")
	}
	if l.Write(RegTPR, 1<<32, 0) {
		t.Error("a 33-bit value accepted")
	}
	if _, ok := l.Read(0x3d, 0); ok {
		t.Error("read of a reserved register accepted")
	}
}
