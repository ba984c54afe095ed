package xen

import "encoding/binary"

// ABI says which layout of the public structs a guest uses: the size of long, of pointers, and the
// alignment of 64-bit words.
type ABI uint8

// The two ABIs of x86 guests, and that of arm64 guests. On i386 a 64-bit word is aligned to 4 bytes. Argument structs of arm64
// are those of x86-64; what differs are the areas that stay shared: see Shared.
const (
	ABI64 ABI = iota
	ABI32
	ABIA64
)

// LongSize gives the size in bytes of unsigned long and of a guest handle.
func (a ABI) LongSize() int {
	if a == ABI32 {
		return 4
	}
	return 8
}

type codecMode uint8

const (
	measuring codecMode = iota
	decoding
	encoding
)

type span struct{ off, size int }

// Codec walks the Layout of a struct and measures, decodes or encodes it. The zero value is not useful: see
// Sizer, Decoder, Encoder. It lives on the stack; a walk does not allocate.
type Codec struct {
	abi   ABI
	mode  codecMode
	off   int
	align int
	buf   []byte
	trace *[]span // for the tests: where each field lay
}

// Sizer makes a Codec that measures.
func Sizer(a ABI) Codec { return Codec{abi: a, align: 1} }

// Decoder makes a Codec that reads fields from b, which must hold the whole struct.
func Decoder(a ABI, b []byte) Codec { return Codec{abi: a, mode: decoding, buf: b, align: 1} }

// Encoder makes a Codec that writes fields to b, which must have room for the whole struct. Padding is
// left as it is.
func Encoder(a ABI, b []byte) Codec { return Codec{abi: a, mode: encoding, buf: b, align: 1} }

// Struct is a public struct.
type Struct interface{ Layout(c *Codec) }

// SizeOf gives the size in bytes of a struct.
func SizeOf(a ABI, s Struct) int {
	k := Sizer(a)
	s.Layout(&k)
	return k.Size()
}

// Encode gives the bytes of a struct; padding is 0. Unlike an Encoder, it allocates.
func Encode(a ABI, s Struct) []byte {
	b := make([]byte, SizeOf(a, s))
	k := Encoder(a, b)
	s.Layout(&k)
	return b
}

// Size gives the size in bytes of the struct walked: the end of the last field, rounded up to the largest
// alignment seen.
func (c *Codec) Size() int { return (c.off + c.align - 1) &^ (c.align - 1) }

// ABI gives the layout the Codec walks.
func (c *Codec) ABI() ABI { return c.abi }

// next places a field of n bytes aligned to a, and gives its bytes (nil when measuring).
func (c *Codec) next(n, a int) []byte {
	c.align = max(c.align, a)
	c.off = (c.off + a - 1) &^ (a - 1)
	at := c.off
	c.off += n
	if c.trace != nil {
		*c.trace = append(*c.trace, span{at, n})
	}
	if c.mode == measuring {
		return nil
	}
	return c.buf[at : at+n]
}

// Skip passes over n bytes of declared padding.
func (c *Codec) Skip(n int) { c.off += n }

// PadLong passes over the padding at the end of a nested struct that holds a long.
func (c *Codec) PadLong() {
	n := c.abi.LongSize()
	c.off = (c.off + n - 1) &^ (n - 1)
}

// U8 visits a uint8 (or int8) field.
func (c *Codec) U8(p *uint8) {
	b := c.next(1, 1)
	switch c.mode {
	case decoding:
		*p = b[0]
	case encoding:
		b[0] = *p
	}
}

// U16 visits a uint16 field.
func (c *Codec) U16(p *uint16) {
	b := c.next(2, 2)
	switch c.mode {
	case decoding:
		*p = binary.LittleEndian.Uint16(b)
	case encoding:
		binary.LittleEndian.PutUint16(b, *p)
	}
}

// U32 visits a uint32 (or int, or enum) field.
func (c *Codec) U32(p *uint32) {
	b := c.next(4, 4)
	switch c.mode {
	case decoding:
		*p = binary.LittleEndian.Uint32(b)
	case encoding:
		binary.LittleEndian.PutUint32(b, *p)
	}
}

// U64 visits a uint64 field.
func (c *Codec) U64(p *uint64) {
	b := c.next(8, c.abi.LongSize())
	switch c.mode {
	case decoding:
		*p = binary.LittleEndian.Uint64(b)
	case encoding:
		binary.LittleEndian.PutUint64(b, *p)
	}
}

// Long visits an unsigned long, xen_pfn_t or guest handle. On the 32-bit ABI the high half is dropped when
// encoding and is zero when decoding.
func (c *Codec) Long(p *uint64) {
	if c.abi != ABI32 {
		c.U64(p)
		return
	}
	b := c.next(4, 4)
	switch c.mode {
	case decoding:
		*p = uint64(binary.LittleEndian.Uint32(b))
	case encoding:
		binary.LittleEndian.PutUint32(b, uint32(*p))
	}
}

// Dom visits a domid_t field.
func (c *Codec) Dom(p *DomID) { c.U16((*uint16)(p)) }

// Status visits a grant status field.
func (c *Codec) Status(p *GrantStatus) {
	b := c.next(2, 2)
	switch c.mode {
	case decoding:
		*p = GrantStatus(binary.LittleEndian.Uint16(b))
	case encoding:
		binary.LittleEndian.PutUint16(b, uint16(*p))
	}
}
