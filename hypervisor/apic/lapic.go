package apic

import (
	"math/bits"
	"sync"
)

// Register numbers, as x2APIC MSR offsets from 0x800; the xAPIC offset is 16 times that (SDM 3A table 10-6).
const (
	RegID         = 0x02
	RegVersion    = 0x03
	RegTPR        = 0x08
	RegAPR        = 0x09
	RegPPR        = 0x0a
	RegEOI        = 0x0b
	RegRRD        = 0x0c
	RegLDR        = 0x0d
	RegDFR        = 0x0e
	RegSVR        = 0x0f
	RegISR        = 0x10
	RegTMR        = 0x18
	RegIRR        = 0x20
	RegESR        = 0x28
	RegCMCI       = 0x2f
	RegICR        = 0x30
	RegICR2       = 0x31
	RegLVTTimer   = 0x32
	RegLVTThermal = 0x33
	RegLVTPerf    = 0x34
	RegLVTLINT0   = 0x35
	RegLVTLINT1   = 0x36
	RegLVTError   = 0x37
	RegTimerInit  = 0x38
	RegTimerCur   = 0x39
	RegTimerDiv   = 0x3e
	RegSelfIPI    = 0x3f
)

// APIC base MSR bits (SDM 3A 10.4.4).
const (
	BaseBSP    = 1 << 8
	BaseX2APIC = 1 << 10
	BaseEnable = 1 << 11
	BaseAddr   = 0xfee00000
)

const (
	version    = 0x50014 // six LVT entries, integrated APIC
	svrEnable  = 1 << 8
	lvtMasked  = 1 << 16
	lvtMode    = 7 << 8
	lvtNMI     = ModeNMI << 8
	lvtExtINT  = ModeExtINT << 8
	timerMode  = 3 << 17
	modePeriod = 1 << 17
	modeTSC    = 2 << 17
)

// Delivery modes of an interrupt command (SDM 3A 10.6.1).
const (
	ModeFixed   = 0
	ModeLowest  = 1
	ModeNMI     = 4
	ModeINIT    = 5
	ModeStartup = 6
	ModeExtINT  = 7
)

// Command is an interrupt command: what goes from one vCPU to others.
type Command struct {
	Mode    uint8
	Vector  uint8
	Assert  bool
	Dest    uint32 // APIC id or logical mask, unless Short is used
	Logical bool
	Short   uint8 // 0 none, 1 self, 2 all including self, 3 all but self
	From    int   // vCPU number of the sender
	X2      bool
	Level   bool // level-triggered: the end of the interrupt goes back to the IO-APIC
}

// Bus carries commands to their targets. It is called without locks held.
type Bus interface{ Send(Command) }

// EOIBus is a Bus with an IO-APIC, which is told of the end of level-triggered interrupts. It is called without locks held.
type EOIBus interface{ EOI(vector uint8) }

// LAPIC is one local APIC.
type LAPIC struct {
	id  int
	bus Bus
	end EOIBus // nil without an IO-APIC

	mu       sync.Mutex
	base     uint64
	tpr      uint32
	irr, isr [4]uint64
	tmr      [4]uint64 // level-triggered ones of those requested or in service
	svr      uint32
	ldr, dfr uint32
	esr      uint32
	icr      uint64
	lvt      [6]uint32 // timer, thermal, performance, LINT0, LINT1, error
	initial  uint32
	divide   uint32
	started  uint64 // TSC when the timer was started
	deadline uint64 // TSC at which the timer fires next; 0: never
}

// New makes the local APIC of vCPU id in its reset state; APIC ids equal vCPU numbers times two, as Xen gives them.
func New(id int, bus Bus) *LAPIC {
	l := &LAPIC{id: id, bus: bus}
	l.end, _ = bus.(EOIBus)
	l.base = BaseAddr | BaseEnable
	if id == 0 {
		l.base |= BaseBSP
	}
	l.reset()
	return l
}

// ID gives the APIC id.
func (l *LAPIC) ID() uint32 { return APICID(l.id) }

// APICID gives the APIC id of a vCPU number. Xen gives HVM and PVH guests twice the number.
func APICID(vcpu int) uint32 { return uint32(vcpu) * 2 }

func (l *LAPIC) reset() {
	l.tpr, l.irr, l.isr, l.tmr = 0, [4]uint64{}, [4]uint64{}, [4]uint64{}
	l.svr, l.ldr, l.dfr, l.esr, l.icr = 0xff, 0, 0xffffffff, 0, 0
	for i := range l.lvt {
		l.lvt[i] = lvtMasked
	}
	l.initial, l.divide, l.deadline = 0, 0, 0
}

// Reset does what an INIT does: all registers but the id and the base.
func (l *LAPIC) Reset() {
	l.mu.Lock()
	l.reset()
	l.mu.Unlock()
}

// Base gives the APIC base MSR.
func (l *LAPIC) Base() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.base
}

// SetBase writes the APIC base MSR; false is #GP (SDM 3A figure 10-27: forbidden transitions).
func (l *LAPIC) SetBase(v uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v&^(BaseBSP|BaseX2APIC|BaseEnable|0x3ffffffff000) != 0 {
		return false
	}
	was, now := l.base>>10&3, v>>10&3
	if now == 1 || was == 3 && now == 2 || was == 0 && now == 3 {
		return false
	}
	if now == 0 && was != 0 {
		l.reset()
	}
	if was != 3 && now == 3 {
		l.ldr = l.ID()>>4<<16 | 1<<(l.ID()&15)
	}
	l.base = v
	return true
}

// X2 reports whether the APIC is in x2APIC mode.
func (l *LAPIC) X2() bool { return l.Base()&BaseX2APIC != 0 }

// highest gives the highest vector set, or -1.
func highest(v *[4]uint64) int {
	for i := 3; i >= 0; i-- {
		if v[i] != 0 {
			return i*64 + 63 - bits.LeadingZeros64(v[i])
		}
	}
	return -1
}

func (l *LAPIC) ppr() uint32 {
	isr := highest(&l.isr)
	if isr < 0 || l.tpr>>4 >= uint32(isr)>>4 {
		return l.tpr
	}
	return uint32(isr) & 0xf0
}

// Fire requests a fixed interrupt (edge-triggered).
func (l *LAPIC) Fire(vector uint8) {
	l.mu.Lock()
	l.fire(vector)
	l.mu.Unlock()
}

// FireLevel requests a level-triggered interrupt, whose end the bus is told of.
func (l *LAPIC) FireLevel(vector uint8) {
	l.mu.Lock()
	l.fire(vector)
	l.tmr[vector>>6] |= 1 << (vector & 63)
	l.mu.Unlock()
}

// Set puts a vector into the request register whether or not the APIC is enabled by software, as Xen does for event channel
// upcalls (vlapic_set_irq): an edge raised before the guest enables its APIC is delivered after.
func (l *LAPIC) Set(vector uint8) {
	l.mu.Lock()
	l.irr[vector>>6] |= 1 << (vector & 63)
	l.mu.Unlock()
}

func (l *LAPIC) fire(vector uint8) {
	if vector < 16 {
		l.esr |= 1 << 6
		return
	}
	if l.svr&svrEnable != 0 && l.base&BaseEnable != 0 {
		l.irr[vector>>6] |= 1 << (vector & 63)
		l.tmr[vector>>6] &^= 1 << (vector & 63)
	}
}

// Pending gives the vector that may be delivered now, by priority.
func (l *LAPIC) Pending() (vector uint8, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := highest(&l.irr)
	if v < 0 || l.svr&svrEnable == 0 || l.base&BaseEnable == 0 || uint32(v)>>4 <= l.ppr()>>4 {
		return 0, false
	}
	return uint8(v), true
}

// Accept moves a vector from request to service: the CPU takes it now.
func (l *LAPIC) Accept(vector uint8) {
	l.mu.Lock()
	bit := uint64(1) << (vector & 63)
	l.irr[vector>>6] &^= bit
	l.isr[vector>>6] |= bit
	l.mu.Unlock()
}

// ExtINT reports whether an 8259 at the LINT0 pin may interrupt the vCPU now (SDM 3A 10.5.1): the pin is in ExtINT mode, or the APIC is
// switched off and the pin is the processor's INTR.
func (l *LAPIC) ExtINT() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.base&BaseEnable == 0 || l.lvt[RegLVTLINT0-RegLVTTimer]&(lvtMasked|lvtMode) == lvtExtINT
}

// VirtualWire brings the APIC into the state in which firmware leaves that of the first vCPU (MultiProcessor Specification 1.4, 3.6.2.2): enabled,
// with an 8259 at LINT0 and NMI at LINT1.
func (l *LAPIC) VirtualWire() {
	l.mu.Lock()
	l.svr |= svrEnable
	l.lvt[RegLVTLINT0-RegLVTTimer], l.lvt[RegLVTLINT1-RegLVTTimer] = lvtExtINT, lvtNMI
	l.mu.Unlock()
}

// TPR gives the task priority (CR8 is its high nibble); SetTPR replaces it.
func (l *LAPIC) TPR() uint8 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint8(l.tpr)
}

// SetTPR sets the task priority.
func (l *LAPIC) SetTPR(v uint8) {
	l.mu.Lock()
	l.tpr = uint32(v)
	l.mu.Unlock()
}

// Accepts reports whether a command that names a destination means this APIC (SDM 3A 10.6.2).
func (l *LAPIC) Accepts(c *Command) bool {
	switch c.Short {
	case 1:
		return c.From == l.id
	case 2:
		return true
	case 3:
		return c.From != l.id
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	x2 := l.base&BaseX2APIC != 0
	if !c.Logical {
		return c.Dest == l.ID() || !c.X2 && c.Dest == 0xff || c.Dest == 0xffffffff
	}
	if x2 {
		return c.Dest>>16 == l.ldr>>16 && c.Dest&l.ldr&0xffff != 0 || c.Dest == 0xffffffff
	}
	mine := l.ldr >> 24
	if l.dfr>>28 == 15 {
		return c.Dest&mine != 0
	}
	return c.Dest>>4 == mine>>4 && c.Dest&mine&15 != 0
}
