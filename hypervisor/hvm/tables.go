package hvm

import (
	"encoding/binary"

	"gozen/hypervisor/acpi"
	"gozen/hypervisor/acpi/aml"
	"gozen/hypervisor/apic"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/hvm/isa"
	"gozen/hypervisor/hvm/pci"
)

var le = binary.LittleEndian

const (
	headerSize = 36
	fadtSize   = 268 // revision 5

	// Window of the PCI bus below 4 GiB.
	pciWindow    = 0xf0000000
	pciWindowEnd = 0xfbffffff
)

// tables gives the ACPI tables as they must lie at base, and the address of the XSDT.
func tables(c PlanConfig, ids []uint32, base guestmem.GPA) (b []byte, xsdt uint64) {
	a := acpi.Area{Base: base}
	facsAt := a.Add(facs()) // first, since it has to be 64-byte aligned
	dsdtAt := a.Add(dsdt(c))
	list := []uint64{a.Add(fadt(facsAt, dsdtAt)), a.Add(madt(ids))}
	if !c.NoHPET {
		list = append(list, a.Add(hpetTable()))
	}
	xsdt = a.Add(acpi.XSDT(list...))
	return a.Bytes, xsdt
}

// facs is the firmware control structure, which has no checksum (ACPI 5.0, 5.2.10).
func facs() []byte {
	b := make([]byte, 64)
	copy(b, "FACS")
	le.PutUint32(b[4:], uint32(len(b)))
	b[32] = 2 // version
	return b
}

// Fields of the FADT (ACPI 5.0, table 5-34), its flags, and its boot architecture flags.
const (
	fadtFACS      = 36
	fadtDSDT      = 40
	fadtSCI       = 46
	fadtPM1Event  = 56
	fadtPM1Ctl    = 64
	fadtPMTimer   = 76
	fadtGPE0      = 80
	fadtLengths   = 88 // PM1 event, PM1 control, PM2 control, PM timer, GPE0
	fadtLatencies = 96
	fadtCentury   = 108
	fadtBootArch  = 109
	fadtFlags     = 112
	fadtResetReg  = 116
	fadtResetVal  = 128
	fadtXFACS     = 132
	fadtXDSDT     = 140
	fadtXPM1Event = 148
	fadtXPM1Ctl   = 172
	fadtXPMTimer  = 208
	fadtXGPE0     = 220

	flagWBINVD      = 1 << 0
	flagC1          = 1 << 2
	flagNoSlpButton = 1 << 5
	flagTimer32     = 1 << 8
	flagResetReg    = 1 << 10
	bootLegacy      = 1 << 0
	bootNoVGA       = 1 << 2
	noLatency       = 0xfff
	resetValue      = 6
)

func fadt(facsAt, dsdtAt uint64) []byte {
	b := make([]byte, fadtSize)
	le.PutUint32(b[fadtFACS:], uint32(facsAt))
	le.PutUint32(b[fadtDSDT:], uint32(dsdtAt))
	le.PutUint64(b[fadtXFACS:], facsAt)
	le.PutUint64(b[fadtXDSDT:], dsdtAt)
	le.PutUint16(b[fadtSCI:], sciIRQ)
	copy(b[fadtLengths:], []byte{isa.PM1EventLen, isa.PM1ControlLen, 0, isa.PMTimerLen, isa.GPE0Len})
	for _, r := range []struct {
		at, x int
		port  uint32
		size  byte
	}{{fadtPM1Event, fadtXPM1Event, isa.PortPM1, isa.PM1EventLen},
		{fadtPM1Ctl, fadtXPM1Ctl, isa.PortPM1 + isa.PM1EventLen, isa.PM1ControlLen},
		{fadtPMTimer, fadtXPMTimer, isa.PortPM1 + isa.PMTimerOff, isa.PMTimerLen},
		{fadtGPE0, fadtXGPE0, isa.PortGPE0, isa.GPE0Len}} {
		le.PutUint32(b[r.at:], r.port)
		copy(b[r.x:], address(r.port, r.size))
	}
	copy(b[fadtResetReg:], address(isa.PortReset, 1))
	b[fadtResetVal] = resetValue
	le.PutUint16(b[fadtLatencies:], noLatency)
	le.PutUint16(b[fadtLatencies+2:], noLatency)
	b[fadtCentury] = isa.RTCCentury
	le.PutUint16(b[fadtBootArch:], bootLegacy|bootNoVGA)
	le.PutUint32(b[fadtFlags:], flagWBINVD|flagC1|flagNoSlpButton|flagTimer32|flagResetReg)
	return acpi.Table("FACP", 5, b[headerSize:])
}

// address is a generic address structure for ports (ACPI 5.0, 5.2.3.1).
func address(port uint32, size byte) []byte {
	b := []byte{1, size * 8, 0, min(size, 4)}
	if size == 4 {
		b[3] = 3 // the code of a double word
	}
	return le.AppendUint64(b, uint64(port))
}

// Entry types of the MADT (ACPI 5.0, 5.2.12) and interrupt flags.
const (
	madtIOAPIC   = 1
	madtOverride = 2
	madtNMI      = 4
	pcatCompat   = 1
	levelLow     = 0xf
)

func madt(ids []uint32) []byte {
	b := le.AppendUint32(nil, apic.BaseAddr)
	b = le.AppendUint32(b, pcatCompat)
	b = append(b, acpi.Processors(ids)...)
	b = append(b, madtIOAPIC, 12, apic.IOAPICID, 0)
	b = le.AppendUint32(b, apic.IOAPICBase)
	b = le.AppendUint32(b, 0)
	override := func(irq, pin byte, flags uint16) {
		b = append(b, madtOverride, 10, 0, irq, pin, 0, 0, 0, byte(flags), byte(flags>>8))
	}
	override(0, timerPin, 0)
	done := map[uint8]bool{}
	for _, irq := range links {
		if !done[irq] {
			override(irq, irq, levelLow)
			done[irq] = true
		}
	}
	b = append(b, madtNMI, 6, 0xff, 0, 0, 1)
	return acpi.Table("APIC", 3, b)
}

func hpetTable() []byte {
	b := le.AppendUint32(nil, isa.HPETID)
	b = append(b, 0, 64, 0, 0) // memory, 64 bits wide
	b = le.AppendUint64(b, isa.HPETBase)
	b = append(b, 0, 0x80, 0, 0) // sequence number, least period, protection
	return acpi.Table("HPET", 1, b)
}

// dsdt describes what a guest cannot find by itself: the PCI bus with its windows and interrupts, the ISA devices, and S5.
func dsdt(c PlanConfig) []byte {
	s5 := aml.Int(isa.SleepTypeS5)
	body := aml.Cat(
		aml.Name(`\_S5`, aml.Package(s5, s5, aml.Int(0), aml.Int(0))),
		aml.Name(`\PICD`, aml.Int(0)),
		aml.Method(`\_PIC`, 1, aml.StoreArg0("PICD")),
		aml.Scope(`\_SB`, aml.Device("PCI0",
			aml.Name("_HID", aml.EISA("PNP0A03")),
			aml.Name("_UID", aml.Int(0)),
			aml.Name("_BBN", aml.Int(0)),
			aml.Name("_CRS", aml.Resources(aml.Buses(0, 255), aml.IO(pci.PortConfig, 8), aml.Ports(0, pci.PortConfig-1),
				aml.Ports(pci.PortConfig+8, 0xffff), aml.Memory(0xa0000, 0xbffff), aml.Memory(pciWindow, pciWindowEnd))),
			aml.Method("_PRT", 0, aml.If(aml.Path("PICD"), aml.Return(aml.Path("PRTA"))), aml.Return(aml.Path("PRTP"))),
			aml.Name("PRTA", pins(GSI)),
			aml.Name("PRTP", pins(func(dev, pin int) int { return int(links[link(dev, pin)]) })),
			isaBus(c),
		)),
	)
	return acpi.Table("DSDT", 2, body)
}

// pins lists where the interrupt pins of all slots go.
func pins(to func(dev, pin int) int) []byte {
	var list [][]byte
	for dev := 1; dev < 32; dev++ {
		for pin := range 4 {
			list = append(list, aml.Package(aml.Int(uint64(dev)<<16|0xffff), aml.Int(uint64(pin)), aml.Int(0), aml.Int(uint64(to(dev, pin)))))
		}
	}
	return aml.Package(list...)
}

func isaBus(c PlanConfig) []byte {
	dev := func(name, id string, res ...[]byte) []byte {
		return aml.Device(name, aml.Name("_HID", aml.EISA(id)), aml.Name("_CRS", aml.Resources(res...)))
	}
	terms := [][]byte{
		aml.Name("_ADR", aml.Int(pci.SlotISA<<16)),
		dev("SYSR", "PNP0C02", aml.IO(pci.PortXen, pci.XenPorts), aml.IO(isa.PortGPE0, isa.GPE0Len),
			aml.IO(isa.PortELCR, 2)),
		dev("PIC", "PNP0000", aml.IO(isa.PortPIC1, 2), aml.IO(isa.PortPIC2, 2), aml.IRQ(2)),
		dev("TIMR", "PNP0100", aml.IO(isa.PortPIT, 4), aml.IRQ(0)),
		dev("RTC", "PNP0B00", aml.IO(isa.PortRTC, 2), aml.IRQ(8)),
		dev("SPKR", "PNP0800", aml.IO(isa.PortGate, 1)),
	}
	if c.Serial {
		terms = append(terms, aml.Device("UAR1", aml.Name("_HID", aml.EISA("PNP0501")), aml.Name("_UID", aml.Int(1)),
			aml.Name("_CRS", aml.Resources(aml.IO(isa.PortCOM1, 8), aml.IRQ(4)))))
	}
	return aml.Device("ISA", terms...)
}
