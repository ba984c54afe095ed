package image

import (
	"errors"
	"fmt"
	"io"
)

// The LZMA_Alone format (LZMA SDK, lzma-specification.txt): properties, dictionary size, unpacked size, then a range-coded
// stream. No kept Go library reads it without the xz container around it, so it is decoded here.

// lzmaInput is what the decoder needs of a stream.
type lzmaInput interface {
	io.Reader
	io.ByteReader
}

const (
	lzmaHeader    = 13
	lzmaStates    = 12
	lzmaPosMax    = 16 // position states: 2 to the power of pb, at most 4
	lzmaMinMatch  = 2
	lzmaHalf      = 1 << 10 // probability one half, of 11 bits
	lzmaEndMarker = 0xffffffff
	lzmaLenStates = 4
	lzmaAlignBits = 4
	lzmaFullDist  = 128
	lzmaEndModel  = 14
)

var errLZMA = errors.New("the stream is damaged")

// lzmaReader decodes one stream.
type lzmaReader struct {
	rc         rangeDecoder
	lc, lp, pb uint
	window     []byte // circular: the last len(window) bytes of output
	at         int    // where the next byte goes in window
	total      uint64 // bytes decoded so far
	size       uint64 // bytes to decode; ^0: until the end marker
	pending    int    // bytes of a match not copied yet
	done       bool
	state      uint
	rep        [4]uint32

	literal             []uint16
	isMatch, isRep0Long [lzmaStates * lzmaPosMax]uint16
	isRep, isG0         [lzmaStates]uint16
	isG1, isG2          [lzmaStates]uint16
	slot                [lzmaLenStates][64]uint16
	special             [lzmaFullDist - lzmaEndModel + 1]uint16
	align               [1 << lzmaAlignBits]uint16
	matchLen, repeatLen lengthDecoder
}

// lengthDecoder decodes match lengths, less lzmaMinMatch.
type lengthDecoder struct {
	choice, choice2 uint16
	low, mid        [lzmaPosMax][8]uint16
	high            [256]uint16
}

// newLZMA starts decoding in, whose output is known to be at most limit bytes.
func newLZMA(in lzmaInput, limit int64) (*lzmaReader, error) {
	var h [lzmaHeader]byte
	if _, err := io.ReadFull(in, h[:]); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if h[0] >= 9*5*5 {
		return nil, fmt.Errorf("properties %#x: %w", h[0], errLZMA)
	}
	p := uint(h[0])
	z := &lzmaReader{lc: p % 9, lp: p / 9 % 5, pb: p / 45, size: le.Uint64(h[5:])}
	dict := max(uint64(le.Uint32(h[1:])), 4096)
	if dict > maxWindow {
		return nil, fmt.Errorf("dictionary of %d bytes is larger than %d", dict, maxWindow)
	}
	z.window = make([]byte, min(dict, uint64(limit)+1))
	z.literal = make([]uint16, 0x300<<(z.lc+z.lp))
	z.resetModels()
	z.rc = rangeDecoder{in: in}
	return z, z.rc.start()
}

func (z *lzmaReader) resetModels() {
	for _, m := range [][]uint16{z.literal, z.isMatch[:], z.isRep0Long[:], z.isRep[:], z.isG0[:], z.isG1[:], z.isG2[:],
		z.special[:], z.align[:]} {
		half(m)
	}
	for i := range z.slot {
		half(z.slot[i][:])
	}
	for _, l := range []*lengthDecoder{&z.matchLen, &z.repeatLen} {
		l.choice, l.choice2 = lzmaHalf, lzmaHalf
		half(l.high[:])
		for i := range l.low {
			half(l.low[i][:])
			half(l.mid[i][:])
		}
	}
}

func half(m []uint16) {
	for i := range m {
		m[i] = lzmaHalf
	}
}

// Read implements io.Reader.
func (z *lzmaReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if z.pending > 0 {
			p[n] = z.put(z.back(z.rep[0]))
			z.pending--
			n++
			continue
		}
		if z.done || z.total == z.size {
			break
		}
		b, literal, err := z.next()
		if err == nil {
			err = z.rc.err
		}
		if err != nil {
			return n, err
		}
		if literal {
			p[n] = z.put(b)
			n++
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (z *lzmaReader) put(b byte) byte {
	z.window[z.at] = b
	if z.at++; z.at == len(z.window) {
		z.at = 0
	}
	z.total++
	return b
}

// back gives the byte dist+1 places back; the caller has checked that there is one.
func (z *lzmaReader) back(dist uint32) byte {
	i := z.at - int(dist) - 1
	if i < 0 {
		i += len(z.window)
	}
	return z.window[i]
}

// next decodes one symbol: a literal, or a match that it leaves in pending and rep[0].
func (z *lzmaReader) next() (b byte, literal bool, err error) {
	pos := uint(z.total) & (1<<z.pb - 1)
	if z.rc.bit(&z.isMatch[z.state*lzmaPosMax+pos]) == 0 {
		return z.decodeLiteral(), true, nil
	}
	length := uint32(1)
	if z.rc.bit(&z.isRep[z.state]) != 0 {
		length = z.repeat(pos)
	} else {
		length = z.rc.length(&z.matchLen, pos)
		z.rep = [4]uint32{z.distance(length), z.rep[0], z.rep[1], z.rep[2]}
		length += lzmaMinMatch
		z.after(7, 10)
		if z.rep[0] == lzmaEndMarker {
			z.done = true
			if z.size != ^uint64(0) {
				err = errLZMA
			}
			return 0, false, err
		}
	}
	if uint64(z.rep[0]) >= min(z.total, uint64(len(z.window))) || uint64(length) > z.size-z.total {
		return 0, false, errLZMA
	}
	z.pending = int(length)
	return 0, false, nil
}

// repeat decodes a match with one of the last four distances and gives its length.
func (z *lzmaReader) repeat(pos uint) uint32 {
	if z.rc.bit(&z.isG0[z.state]) == 0 {
		if z.rc.bit(&z.isRep0Long[z.state*lzmaPosMax+pos]) == 0 {
			z.after(9, 11)
			return 1
		}
	} else if z.rc.bit(&z.isG1[z.state]) == 0 {
		z.rep = [4]uint32{z.rep[1], z.rep[0], z.rep[2], z.rep[3]}
	} else if z.rc.bit(&z.isG2[z.state]) == 0 {
		z.rep = [4]uint32{z.rep[2], z.rep[0], z.rep[1], z.rep[3]}
	} else {
		z.rep = [4]uint32{z.rep[3], z.rep[0], z.rep[1], z.rep[2]}
	}
	length := z.rc.length(&z.repeatLen, pos) + lzmaMinMatch
	z.after(8, 11)
	return length
}

// after moves to the state behind a match: early if the last symbols were literals, else late.
func (z *lzmaReader) after(early, late uint) {
	if z.state < 7 {
		z.state = early
	} else {
		z.state = late
	}
}

func (z *lzmaReader) decodeLiteral() byte {
	var prev byte
	if z.total > 0 {
		prev = z.back(0)
	}
	ctx := (uint(z.total)&(1<<z.lp-1))<<z.lc + uint(prev)>>(8-z.lc)
	probs := z.literal[0x300*ctx:]
	sym := uint32(1)
	if z.state >= 7 { // behind a match, the byte that would have gone on is a hint
		match := uint32(z.back(z.rep[0]))
		for sym < 0x100 {
			hint := match >> 7 & 1
			match <<= 1
			bit := z.rc.bit(&probs[(1+hint)<<8+sym])
			sym = sym<<1 | bit
			if bit != hint {
				break
			}
		}
	}
	for sym < 0x100 {
		sym = sym<<1 | z.rc.bit(&probs[sym])
	}
	switch {
	case z.state < 4:
		z.state = 0
	case z.state < 10:
		z.state -= 3
	default:
		z.state -= 6
	}
	return byte(sym)
}

// distance decodes a match distance, less one.
func (z *lzmaReader) distance(length uint32) uint32 {
	slot := z.rc.tree(z.slot[min(length, lzmaLenStates-1)][:], 6)
	if slot < 4 {
		return slot
	}
	bits := slot>>1 - 1
	dist := (2 | slot&1) << bits
	if slot < lzmaEndModel {
		return dist + z.rc.reverse(z.special[dist-slot:], bits)
	}
	dist += z.rc.direct(bits-lzmaAlignBits) << lzmaAlignBits
	return dist + z.rc.reverse(z.align[:], lzmaAlignBits)
}

// rangeDecoder is the arithmetic decoder below. After an error it gives zeros.
type rangeDecoder struct {
	in   io.ByteReader
	rng  uint32
	code uint32
	err  error
}

func (d *rangeDecoder) start() error {
	d.rng = ^uint32(0)
	if first := d.byte(); first != 0 {
		return errLZMA
	}
	for range 4 {
		d.code = d.code<<8 | d.byte()
	}
	return d.err
}

func (d *rangeDecoder) byte() uint32 {
	b, err := d.in.ReadByte()
	if err != nil && d.err == nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		d.err = err
	}
	return uint32(b)
}

func (d *rangeDecoder) normalize() {
	if d.rng < 1<<24 {
		d.rng <<= 8
		d.code = d.code<<8 | d.byte()
	}
}

// bit decodes one bit with an adaptive probability.
func (d *rangeDecoder) bit(prob *uint16) uint32 {
	bound := d.rng >> 11 * uint32(*prob)
	if d.code < bound {
		d.rng = bound
		*prob += (1<<11 - *prob) >> 5
		d.normalize()
		return 0
	}
	d.rng -= bound
	d.code -= bound
	*prob -= *prob >> 5
	d.normalize()
	return 1
}

// direct decodes n bits of even probability, highest first.
func (d *rangeDecoder) direct(n uint32) uint32 {
	var v uint32
	for range n {
		d.rng >>= 1
		v <<= 1
		if d.code >= d.rng {
			d.code -= d.rng
			v |= 1
		}
		d.normalize()
	}
	return v
}

// tree decodes n bits, highest first, each with a probability that depends on those before.
func (d *rangeDecoder) tree(probs []uint16, n uint) uint32 {
	m := uint32(1)
	for range n {
		m = m<<1 | d.bit(&probs[m])
	}
	return m - 1<<n
}

// reverse is tree with the lowest bit first.
func (d *rangeDecoder) reverse(probs []uint16, n uint32) uint32 {
	m, v := uint32(1), uint32(0)
	for i := range n {
		b := d.bit(&probs[m])
		m = m<<1 | b
		v |= b << i
	}
	return v
}

func (d *rangeDecoder) length(l *lengthDecoder, pos uint) uint32 {
	if d.bit(&l.choice) == 0 {
		return d.tree(l.low[pos][:], 3)
	}
	if d.bit(&l.choice2) == 0 {
		return 8 + d.tree(l.mid[pos][:], 3)
	}
	return 16 + d.tree(l.high[:], 8)
}
