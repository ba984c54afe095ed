package iobus

// Device answers accesses to a range. off is the offset in the range; size is 1, 2, 4 or 8 bytes and never more than the
// range's Width. Bits of v above size are zero, and those of an answer are ignored.
type Device interface {
	Read(off uint64, size uint8) uint64
	Write(off uint64, size uint8, v uint64)
}

// Range is a run of addresses that belongs to a device. Its owner may move it, and switch it off, between accesses.
type Range struct {
	Base, Size uint64
	// Width is the widest access in bytes that the device takes; wider ones are cut into bytes.
	Width  uint8
	Device Device
	// Off says that the device does not decode the range now.
	Off bool
}

// Bus is an address space with devices: the I/O ports, or the memory that no page backs.
type Bus struct {
	ranges []*Range
	// top is the last address of the space: what lies beyond reads all ones.
	top uint64
}

// Ports is the last I/O port.
const Ports = 0xffff

// New makes a bus without devices, whose last address is top.
func New(top uint64) *Bus { return &Bus{top: top} }

// Add gives a range to a device. Ranges that were added earlier come first.
func (b *Bus) Add(r *Range) *Range {
	b.ranges = append(b.ranges, r)
	return r
}

// find gives the range that address a lies in, or nil.
func (b *Bus) find(a uint64) *Range {
	for _, r := range b.ranges {
		if a-r.Base < r.Size && !r.Off {
			return r
		}
	}
	return nil
}

// whole gives the range that takes an access in one piece, or nil.
func (b *Bus) whole(a uint64, size uint8) (*Range, uint64) {
	r := b.find(a)
	if r == nil || size > r.Width || r.Size-(a-r.Base) < uint64(size) {
		return nil, 0
	}
	return r, a - r.Base
}

// Mask has ones for the bytes of an access.
func Mask(size uint8) uint64 {
	if size >= 8 {
		return ^uint64(0)
	}
	return 1<<(8*size) - 1
}

// Read reads size bytes; bytes of no device read all ones. any reports whether a device had a part.
func (b *Bus) Read(a uint64, size uint8) (v uint64, any bool) {
	if r, off := b.whole(a, size); r != nil {
		return r.Device.Read(off, size) & Mask(size), true
	}
	for i := range uint64(size) {
		c := uint64(0xff)
		if at := a + i; at <= b.top && at >= a {
			if r := b.find(at); r != nil {
				c, any = r.Device.Read(at-r.Base, 1)&0xff, true
			}
		}
		v |= c << (8 * i)
	}
	return v, any
}

// Write writes size bytes; bytes of no device are dropped. any reports whether a device had a part.
func (b *Bus) Write(a uint64, size uint8, v uint64) (any bool) {
	v &= Mask(size)
	if r, off := b.whole(a, size); r != nil {
		r.Device.Write(off, size, v)
		return true
	}
	for i := range uint64(size) {
		if at := a + i; at <= b.top && at >= a {
			if r := b.find(at); r != nil {
				r.Device.Write(at-r.Base, 1, v>>(8*i)&0xff)
				any = true
			}
		}
	}
	return any
}

// Funcs is a Device made of two functions; either may be nil: reads give all ones then, and writes do nothing.
type Funcs struct {
	R func(off uint64, size uint8) uint64
	W func(off uint64, size uint8, v uint64)
}

// Read implements Device.
func (f Funcs) Read(off uint64, size uint8) uint64 {
	if f.R == nil {
		return ^uint64(0)
	}
	return f.R(off, size)
}

// Write implements Device.
func (f Funcs) Write(off uint64, size uint8, v uint64) {
	if f.W != nil {
		f.W(off, size, v)
	}
}
