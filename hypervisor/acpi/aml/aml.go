// Package aml encodes the little of ACPI's machine language that a PC's DSDT needs (ACPI 5.0, chapter 20, and 6.4 for resources).
//
// What lives here: one function a construct, each giving bytes; they nest. What does not: tables (acpi), what a machine has (hvm).
package aml

import "encoding/binary"

var le = binary.LittleEndian

// Opcodes (ACPI 5.0, 20.3).
const (
	opName    = 0x08
	opByte    = 0x0a
	opWord    = 0x0b
	opDWord   = 0x0c
	opQWord   = 0x0e
	opScope   = 0x10
	opBuffer  = 0x11
	opPackage = 0x12
	opMethod  = 0x14
	opExt     = 0x5b
	opDevice  = 0x82
	opArg0    = 0x68
	opStore   = 0x70
	opIf      = 0xa0
	opReturn  = 0xa4
	root      = '\\'
	dual      = 0x2e
)

// Cat puts terms behind one another.
func Cat(terms ...[]byte) (out []byte) {
	for _, t := range terms {
		out = append(out, t...)
	}
	return out
}

// seg pads a name segment to its four characters.
func seg(s string) []byte { return []byte((s + "____")[:4]) }

// Path gives a name of one segment, or of two with a dot between; a leading backslash is the root.
func Path(s string) (out []byte) {
	if s != "" && s[0] == root {
		out, s = append(out, root), s[1:]
	}
	for i := range s {
		if s[i] == '.' {
			return Cat(out, []byte{dual}, seg(s[:i]), seg(s[i+1:]))
		}
	}
	return append(out, seg(s)...)
}

// sized puts the length of content, its own bytes included, before it (20.2.4).
func sized(content []byte) []byte {
	n := len(content)
	switch {
	case n+1 < 1<<6:
		return append([]byte{byte(n + 1)}, content...)
	case n+2 < 1<<12:
		n += 2
		return append([]byte{1<<6 | byte(n&15), byte(n >> 4)}, content...)
	}
	n += 3 // up to 1 MiB
	return append([]byte{2<<6 | byte(n&15), byte(n >> 4), byte(n >> 12)}, content...)
}

// Int gives an integer in its shortest form.
func Int(v uint64) []byte {
	switch {
	case v < 2:
		return []byte{byte(v)}
	case v < 1<<8:
		return []byte{opByte, byte(v)}
	case v < 1<<16:
		return le.AppendUint16([]byte{opWord}, uint16(v))
	case v < 1<<32:
		return le.AppendUint32([]byte{opDWord}, uint32(v))
	}
	return le.AppendUint64([]byte{opQWord}, v)
}

// EISA gives a compressed device id such as PNP0A03 (19.2.3, EISAID).
func EISA(id string) []byte {
	v := uint32(id[0]-0x40)<<26 | uint32(id[1]-0x40)<<21 | uint32(id[2]-0x40)<<16
	for i := range 4 {
		v |= hex(id[3+i]) << (12 - 4*i)
	}
	return append([]byte{opDWord}, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

func hex(c byte) uint32 {
	if c <= '9' {
		return uint32(c - '0')
	}
	return uint32(c-'A') + 10
}

// Name defines an object.
func Name(name string, value []byte) []byte { return Cat([]byte{opName}, Path(name), value) }

// Scope opens a scope, Device defines a device, Method a method of so many arguments.
func Scope(name string, terms ...[]byte) []byte {
	return append([]byte{opScope}, sized(Cat(Path(name), Cat(terms...)))...)
}

// Device defines a device.
func Device(name string, terms ...[]byte) []byte {
	return append([]byte{opExt, opDevice}, sized(Cat(Path(name), Cat(terms...)))...)
}

// Method defines a method.
func Method(name string, args byte, terms ...[]byte) []byte {
	return append([]byte{opMethod}, sized(Cat(Path(name), []byte{args}, Cat(terms...)))...)
}

// If runs terms if cond is not 0; Return ends a method; StoreArg0 puts its first argument into name.
func If(cond []byte, terms ...[]byte) []byte {
	return append([]byte{opIf}, sized(Cat(cond, Cat(terms...)))...)
}

// Return ends a method with a value.
func Return(v []byte) []byte { return append([]byte{opReturn}, v...) }

// StoreArg0 puts a method's first argument into name.
func StoreArg0(name string) []byte { return Cat([]byte{opStore, opArg0}, Path(name)) }

// Package is a list of at most 255 elements.
func Package(elements ...[]byte) []byte {
	return append([]byte{opPackage}, sized(append([]byte{byte(len(elements))}, Cat(elements...)...))...)
}

// Resources is a buffer of resource descriptors, with the end tag.
func Resources(descriptors ...[]byte) []byte {
	b := append(Cat(descriptors...), 0x79, 0)
	return append([]byte{opBuffer}, sized(append(Int(uint64(len(b))), b...))...)
}

// IO is a run of ports at a fixed place, decoded in 16 bits.
func IO(base uint16, size byte) []byte {
	b := []byte{0x47, 1}
	b = le.AppendUint16(b, base)
	return append(le.AppendUint16(b, base), 1, size)
}

// IRQ is an ISA interrupt, edge-triggered.
func IRQ(n int) []byte { return le.AppendUint16([]byte{0x22}, 1<<n) }

// Fixed32 is a run of memory at a fixed place.
func Fixed32(base, size uint32) []byte {
	b := []byte{0x86, 9, 0, 1}
	return le.AppendUint32(le.AppendUint32(b, base), size)
}

// What a bridge passes on: address space descriptors with a fixed minimum and maximum.
const (
	fixedBoth = 0x0c
	isMemory  = 0
	isIO      = 1
	isBus     = 2
	wholeIO   = 3 // ISA and non-ISA ports
	readWrite = 1
)

func words(typ, flags byte, first, last uint16) []byte {
	b := []byte{0x88, 13, 0, typ, fixedBoth, flags}
	for _, v := range []uint16{0, first, last, 0, last - first + 1} {
		b = le.AppendUint16(b, v)
	}
	return b
}

// Buses, Ports and Memory say which buses, ports and addresses a bridge passes on.
func Buses(first, last uint16) []byte { return words(isBus, 0, first, last) }

// Ports says which ports a bridge passes on.
func Ports(first, last uint16) []byte { return words(isIO, wholeIO, first, last) }

// Memory says which addresses a bridge passes on.
func Memory(first, last uint32) []byte {
	b := []byte{0x87, 23, 0, isMemory, fixedBoth, readWrite}
	for _, v := range []uint32{0, first, last, 0, last - first + 1} {
		b = le.AppendUint32(b, v)
	}
	return b
}
