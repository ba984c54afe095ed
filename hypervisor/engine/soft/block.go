package soft

import (
	"bytes"

	"sync/atomic"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// block is a run of decoded instructions in one page with one entry. It is valid while the version of its page (and
// of the next page, if its only instruction crosses into it) is what it was at decoding.
type block struct {
	insts []decode.Inst
	verp  *uint32
	ver   uint32
	size  uint32 // bytes
	verp2 *uint32
	ver2  uint32
	end   endKind
	key   uint64
	gfn   guestmem.GFN
	next  [2]*block // chained successors in the same page: 0 falls through, 1 is taken
}

type endKind uint8

const (
	endSeq    endKind = iota // goes on behind the last instruction
	endBranch                // the last instruction set c.rip
	endBreak                 // as endSeq, but events and modes are to be looked at first
)

const (
	maxBlock = 48
	// Decoded instructions kept, 32 bytes each: for all vCPUs together, and at least for each.
	maxInsts  = 128 << 10
	minInsts  = 40 << 10
	tableBits = 15
	jcSize    = 4096
	keySingle = 1 << 60
	keyWide   = 1 << 59
	keyMode   = 61
)

// blockTable finds blocks by physical address and mode: open addressing. Blocks and instructions lie in slabs that are used again when the table
// is emptied, so that the process does not grow; epoch tells holders of a block pointer that this happened.
type blockTable struct {
	slots []*block
	n     int
	insts int
	epoch uint64
	slabs slabs[decode.Inst]
	blks  slabs[block]
}

// slabs hands out runs of elements from slabs that are kept for the next round.
type slabs[T any] struct {
	all  [][]T
	used int // slabs begun
	left []T
}

const slabLen = 2048

func (s *slabs[T]) take(n int) []T {
	if len(s.left) < n {
		if s.used == len(s.all) {
			s.all = append(s.all, make([]T, slabLen))
		}
		s.left = s.all[s.used]
		s.used++
	}
	out := s.left[:n:n]
	s.left = s.left[n:]
	return out
}

func (s *slabs[T]) reset() { s.used, s.left = 0, nil }

// init empties the table.
func (t *blockTable) init() {
	if t.slots == nil {
		t.slots = make([]*block, 1<<tableBits)
	}
	clear(t.slots)
	t.n, t.insts = 0, 0
	t.slabs.reset()
	t.blks.reset()
	t.epoch++
}

func (t *blockTable) slot(key uint64) uint64 {
	return key * 0x9e3779b97f4a7c15 >> (64 - tableBits)
}

func (t *blockTable) find(key uint64) *block {
	for i := t.slot(key); ; i = (i + 1) & (1<<tableBits - 1) {
		b := t.slots[i]
		if b == nil || b.key == key {
			return b
		}
	}
}

func (t *blockTable) put(b *block) {
	for i := t.slot(b.key); ; i = (i + 1) & (1<<tableBits - 1) {
		if t.slots[i] == nil {
			t.n++
			t.slots[i] = b
			return
		}
		if t.slots[i].key == b.key {
			t.slots[i] = b
			return
		}
	}
}

func (t *blockTable) newBlock() *block { return &t.blks.take(1)[0] }

// keep moves decoded instructions into a slab.
func (t *blockTable) keep(ins []decode.Inst) []decode.Inst {
	out := t.slabs.take(len(ins))
	copy(out, ins)
	t.insts += len(ins)
	return out
}

type jumpEntry struct {
	rip uint64
	gen uint64
	blk *block
}

// jumpCache finds blocks by linear address; an entry is good for one generation.
type jumpCache struct{ e [jcSize]jumpEntry }

func (b *block) valid() bool {
	return atomic.LoadUint32(b.verp) == b.ver && (b.verp2 == nil || atomic.LoadUint32(b.verp2) == b.ver2)
}

// lookup gives the block at linear address rip (c.rip relative to CS base is the caller's business), or nil with the fault recorded.
func (c *CPU) lookup(rip uint64) *block {
	lin := rip
	if !c.long {
		if rip > uint64(c.seg[x86.CS].Limit) {
			c.gp(0)
			return nil
		}
		lin = (rip + c.seg[x86.CS].Base) & 0xffffffff
	}
	var je *jumpEntry
	if !c.single {
		je = &c.jc.e[(rip^rip>>12)&(jcSize-1)]
		if je.rip == rip && je.gen == c.gen && je.blk.valid() {
			return je.blk
		}
	}
	e, ok := c.fetchPage(lin)
	if !ok {
		return nil
	}
	gfn := guestmem.GFN(e.info >> 8)
	key := uint64(gfn)<<12 | lin&pageMask | uint64(c.mode)<<keyMode
	if c.single {
		key |= keySingle
	}
	if c.wide {
		key |= keyWide
	}
	b := c.blocks.find(key)
	if b == nil || !b.valid() {
		if b = c.decodeBlock(lin, key, gfn, e.bytes()); b == nil {
			return nil
		}
	} else if b.verp2 != nil {
		// The second page may be mapped elsewhere now.
		if e2, ok := c.fetchPage(c.wrap(lin+pageMask+1) &^ pageMask); !ok || c.vm.code.version(guestmem.GFN(e2.info>>8)) != b.verp2 {
			if !ok {
				return nil
			}
			b = c.decodeBlock(lin, key, gfn, e.bytes())
			if b == nil {
				return nil
			}
		}
	}
	if je != nil && b.verp2 == nil {
		*je = jumpEntry{rip, c.gen, b}
	}
	return b
}

// decodeBlock decodes from lin up to a branch, the end of the page or maxBlock instructions.
func (c *CPU) decodeBlock(lin, key uint64, gfn guestmem.GFN, page *[guestmem.PageSize]byte) *block {
	if c.blocks.insts > max(maxInsts/len(c.vm.snapshot()), minInsts) || c.blocks.n > 3<<(tableBits-2) {
		c.blocks.init()
		c.gen++
	}
	b := c.blocks.newBlock()
	*b = block{key: key, gfn: gfn, verp: c.vm.code.version(gfn)}
	off := lin & pageMask
	b.ver = c.markCode(gfn, off, 1)
	// Decoded from a copy: another vCPU may write to a line that is not marked yet.
	var raw [maxBlock * decode.MaxLen]byte
	code := raw[:copy(raw[:], page[off:])]
	var buf [maxBlock]decode.Inst
	n := 0
	limit := maxBlock
	if c.single {
		limit = 1
	}
	pos := off
	for n < limit && pos < guestmem.PageSize {
		in := &buf[n]
		err := decode.Decode(in, code[pos-off:], c.mode)
		if err == decode.Short {
			if n > 0 {
				break
			}
			if !c.decodeAcross(b, in, lin, code) {
				return nil
			}
		} else if err != decode.OK {
			invalid(in, err)
		}
		in.Off = uint16(pos - off)
		pos += uint64(in.Len)
		c.prepare(in)
		n++
		if b.end = ending(in); b.end != endSeq {
			break
		}
	}
	b.size = uint32(pos - off)
	b.insts = c.blocks.keep(c.fuse(buf[:n]))
	end := min(pos, guestmem.PageSize)
	c.markCode(gfn, off, end-off)
	if !bytes.Equal(code[:end-off], page[off:end]) {
		b.ver-- // good for this once: the next look decodes anew
	}
	c.blocks.put(b)
	return b
}

// invalid makes in an instruction that raises the fault of undecodable bytes.
func invalid(in *decode.Inst, err decode.Error) {
	*in = decode.Inst{Op: decode.INVALID, Len: 1}
	if err == decode.TooLong {
		in.Imm = x86.VectorGP
	} else {
		in.Imm = x86.VectorUD
	}
}

// decodeAcross decodes an instruction that reaches into the next page.
func (c *CPU) decodeAcross(b *block, in *decode.Inst, lin uint64, head []byte) bool {
	var bytes [decode.MaxLen]byte
	k := copy(bytes[:], head)
	next := c.wrap(lin+pageMask+1) &^ pageMask
	e2, ok := c.fetchPage(next)
	if !ok {
		return false
	}
	g2 := guestmem.GFN(e2.info >> 8)
	b.verp2 = c.vm.code.version(g2)
	b.ver2 = c.markCode(g2, 0, 16)
	copy(bytes[k:], e2.bytes()[:])
	if err := decode.Decode(in, bytes[:], c.mode); err != decode.OK {
		if err == decode.Short {
			err = decode.Invalid
		}
		invalid(in, err)
	}
	return true
}
