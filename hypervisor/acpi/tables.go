package acpi

import (
	"encoding/binary"
	"fmt"

	"gozen/hypervisor/guestmem"
)

// Config says what the tables describe.
type Config struct {
	Base    guestmem.GPA // where the tables will lie; 16-byte aligned
	APICIDs []uint32     // local APIC id of each vCPU, in order; the index is the processor's UID
	// SleepPort, when not 0, is an I/O port whose 8-bit register is the sleep control register, the port after it the sleep
	// status register (ACPI 5.0, 4.8.3.7). A guest powers off by writing SleepS5 there. With 0 there is no
	// S5 state, as under Xen's libxl: Linux then halts every vCPU with interrupts off, which Xen takes for power-off.
	SleepPort uint16
}

// SleepS5 is what a guest writes to the sleep control register to power off: SLP_TYP 5, SLP_EN.
const SleepS5 = s5Type<<2 | 1<<5

const (
	s5Type      = 5
	maxCPUs     = 4096
	headerSize  = 36
	rsdpSize    = 36
	fadtSize    = 268 // revision 5
	lapicBase   = 0xfee00000
	tableAlign  = 16
	oemID       = "Xen\x00\x00\x00"
	oemTable    = "HVM\x00\x00\x00\x00\x00"
	creator     = "HVML"
	spaceIO     = 1 // generic address structure: system I/O
	accessByte  = 1
	madtLAPIC   = 0
	madtX2APIC  = 9
	cpuEnabled  = 1
	firstX2APIC = 255 // the first id that a local APIC entry cannot hold
)

// FADT fixed feature flags and IA-PC boot architecture flags (ACPI 5.0, tables 5-35 and 5-36).
const (
	fadtWBINVD     = 1 << 0
	fadtProcC1     = 1 << 2
	fadtPwrButton  = 1 << 4 // no fixed power button
	fadtSlpButton  = 1 << 5 // no fixed sleep button
	fadtHWReduced  = 1 << 20
	bootNoVGA      = 1 << 2
	bootNoCMOSRTC  = 1 << 5
	fadtFlags      = fadtWBINVD | fadtProcC1 | fadtPwrButton | fadtSlpButton | fadtHWReduced
	fadtBootFlags  = bootNoVGA | bootNoCMOSRTC
	offDSDT        = 40
	offBootArch    = 109
	offFlags       = 112
	offXDSDT       = 140
	offSleepCtl    = 244
	offSleepStatus = 256
)

var le = binary.LittleEndian

// Build gives the tables as they must lie at c.Base; the RSDP is at its start.
func Build(c Config) ([]byte, error) {
	if len(c.APICIDs) == 0 || len(c.APICIDs) > maxCPUs {
		return nil, fmt.Errorf("acpi tables for %d vCPUs: from 1 to %d can be described", len(c.APICIDs), maxCPUs)
	}
	if c.Base%tableAlign != 0 || c.Base > 1<<32-1<<20 {
		return nil, fmt.Errorf("acpi tables at %#x: not 16-byte aligned below 4 GiB", uint64(c.Base))
	}
	out := Area{Base: c.Base, Bytes: make([]byte, rsdpSize)}
	dsdtAt := out.Add(dsdt(c))
	fadtAt := out.Add(fadt(c, dsdtAt))
	madtAt := out.Add(madt(c))
	xsdtAt := out.Add(XSDT(fadtAt, madtAt))
	copy(out.Bytes, RSDP(xsdtAt))
	return out.Bytes, nil
}

// Area is memory that tables are laid out in, one after the other.
type Area struct {
	Base  guestmem.GPA // of Bytes; 16-byte aligned
	Bytes []byte
}

// Add appends a table and gives its address.
func (a *Area) Add(t []byte) uint64 {
	for len(a.Bytes)%tableAlign != 0 {
		a.Bytes = append(a.Bytes, 0)
	}
	at := uint64(a.Base) + uint64(len(a.Bytes))
	a.Bytes = append(a.Bytes, t...)
	return at
}

// Table puts the common header (ACPI 5.0, 5.2.6) before body.
func Table(sig string, rev byte, body []byte) []byte {
	t := make([]byte, headerSize, headerSize+len(body))
	copy(t, sig)
	le.PutUint32(t[4:], uint32(headerSize+len(body)))
	t[8] = rev
	copy(t[10:], oemID)
	copy(t[16:], oemTable)
	copy(t[28:], creator)
	t = append(t, body...)
	t[9] = checksum(t)
	return t
}

// checksum gives the byte that makes the sum of b zero, b's own checksum byte being zero.
func checksum(b []byte) byte {
	var sum byte
	for _, x := range b {
		sum += x
	}
	return -sum
}

// RSDP gives the structure that firmware tables begin with.
func RSDP(xsdtAt uint64) []byte {
	b := make([]byte, rsdpSize)
	copy(b, "RSD PTR ")
	copy(b[9:], oemID)
	b[15] = 2 // revision: has an XSDT
	le.PutUint32(b[20:], rsdpSize)
	le.PutUint64(b[24:], xsdtAt)
	b[8] = checksum(b[:20])
	b[32] = checksum(b)
	return b
}

// XSDT gives the table that lists others by their addresses.
func XSDT(tables ...uint64) []byte {
	var body []byte
	for _, t := range tables {
		body = le.AppendUint64(body, t)
	}
	return Table("XSDT", 1, body)
}

func fadt(c Config, dsdtAt uint64) []byte {
	b := make([]byte, fadtSize)
	le.PutUint32(b[offDSDT:], uint32(dsdtAt))
	le.PutUint64(b[offXDSDT:], dsdtAt)
	le.PutUint16(b[offBootArch:], fadtBootFlags)
	le.PutUint32(b[offFlags:], fadtFlags)
	if c.SleepPort != 0 {
		ioByte(b[offSleepCtl:], c.SleepPort)
		ioByte(b[offSleepStatus:], c.SleepPort+1)
	}
	return Table("FACP", 5, b[headerSize:])
}

// ioByte fills in a generic address structure (ACPI 5.0, 5.2.3.1) for a one-byte I/O port.
func ioByte(b []byte, port uint16) {
	b[0], b[1], b[3] = spaceIO, 8, accessByte
	le.PutUint64(b[4:], uint64(port))
}

// madt lists one local APIC per vCPU and nothing else: no I/O APIC, no 8259.
func madt(c Config) []byte {
	body := le.AppendUint32(nil, lapicBase)
	body = le.AppendUint32(body, 0)
	return Table("APIC", 3, append(body, Processors(c.APICIDs)...))
}

// Processors gives the entries of a MADT for local APICs.
func Processors(ids []uint32) (body []byte) {
	for uid, id := range ids {
		if id < firstX2APIC && uid < firstX2APIC {
			body = append(body, madtLAPIC, 8, byte(uid), byte(id))
			body = le.AppendUint32(body, cpuEnabled)
			continue
		}
		body = append(body, madtX2APIC, 16, 0, 0)
		body = le.AppendUint32(body, id)
		body = le.AppendUint32(body, cpuEnabled)
		body = le.AppendUint32(body, uint32(uid))
	}
	return body
}

// AML opcodes (ACPI 5.0, 20.2).
const (
	amlName       = 0x08
	amlByte       = 0x0a
	amlScope      = 0x10
	amlPackage    = 0x12
	amlZero       = 0x00
	amlRoot       = '\\'
	amlMaxOneByte = 63 // longest package whose length takes one byte
)

// dsdt holds Scope(\_SB) {} and, with a sleep port, Name(\_S5, Package {5, 0, 0, 0}).
func dsdt(c Config) []byte {
	var body []byte
	if c.SleepPort != 0 {
		pkg := sized(amlPackage, []byte{4, amlByte, s5Type, amlZero, amlZero, amlZero})
		body = append([]byte{amlName, amlRoot}, "_S5_"...)
		body = append(body, pkg...)
	}
	body = append(body, sized(amlScope, append([]byte{amlRoot}, "_SB_"...))...)
	return Table("DSDT", 2, body)
}

// sized gives op, the package length of content (20.2.4, the one-byte form) and content.
func sized(op byte, content []byte) []byte {
	n := len(content) + 1
	if n > amlMaxOneByte {
		panic("acpi: package too long for a one-byte length")
	}
	return append([]byte{op, byte(n)}, content...)
}
