package symbol

import "encoding/binary"

// Where the image of an x86-64 kernel can lie: __START_KERNEL_map and KERNEL_IMAGE_SIZE with KASLR (Documentation/arch/x86/x86_64/mm.rst).
const (
	imageLow  = 0xffffffff80000000
	imageHigh = 0xffffffffc0000000
	// usual is where a kernel without KASLR begins.
	usual = 0xffffffff81000000
)

// The search goes through memory in steps, nearest to the hint first.
const (
	step  = 2 << 20
	block = 64 << 10
	page  = 4 << 10
)

// Facts of the table of tokens: 256 strings behind one another, and where each begins, 16 bits each (kallsyms_token_table,
// kallsyms_token_index).
const (
	tokens    = 256
	indexSize = tokens * 2
	maxToken  = 64 // bytes with the terminating zero; real ones have up to about 20
)

var le = binary.LittleEndian

// search is one search through a guest's memory, and what it may still cost.
type search struct {
	read       func(va uint64, p []byte) error
	bytes      int // to look at
	candidates int // indexes of tokens to read
	walked     int // packed names to step over
}

func newSearch(read func(va uint64, p []byte) error) *search {
	return &search{read: read, bytes: 256 << 20, candidates: 4096, walked: 16 << 20}
}

// vocabulary is the table of tokens where it was found.
type vocabulary struct {
	table, index uint64 // addresses
	token        [tokens][]byte
}

// anchors calls found for each table of tokens in the memory around hint, until it says true.
func (s *search) anchors(hint uint64, found func(*vocabulary) bool) bool {
	if hint < imageLow || hint >= imageHigh {
		hint = usual
	}
	mid := (hint - imageLow) / step
	const steps = (imageHigh - imageLow) / step
	buf := make([]byte, block)
	for d := uint64(0); d < steps && s.bytes > 0 && s.candidates > 0; d++ {
		for side, at := range [2]uint64{mid + d, mid - d} {
			if at < steps && (side == 0 || d > 0) && s.step(imageLow+at*step, buf, found) {
				return true
			}
		}
	}
	return false
}

// step looks through one step. What cannot be read is left out page by page.
func (s *search) step(va uint64, buf []byte, found func(*vocabulary) bool) bool {
	for end := va + step; va < end; va += block {
		if s.read(va, buf) == nil {
			s.bytes -= block
			if s.scan(va, buf, found) {
				return true
			}
			continue
		}
		for p := va; p < va+block; p += page {
			if s.read(p, buf[:page]) != nil {
				continue
			}
			s.bytes -= page
			if s.scan(p, buf[:page], found) {
				return true
			}
		}
	}
	return false
}

// scan looks for the beginning of an index in b, which was read at va: a 0 and a small number behind it. Hardly anything else passes
// the check of what follows.
func (s *search) scan(va uint64, b []byte, found func(*vocabulary) bool) bool {
	for i := 0; i+4 <= len(b); i += 4 {
		v := le.Uint32(b[i:])
		if v&0xffff != 0 || v == 0 || v>>16 > maxToken || !ascends(b[i:min(i+32, len(b))]) {
			continue
		}
		if s.candidates--; s.candidates < 0 {
			return false
		}
		if w := s.vocabulary(va + uint64(i)); w != nil && found(w) {
			return true
		}
	}
	return false
}

// ascends reports whether b holds beginnings of tokens.
func ascends(b []byte) bool {
	for i := 2; i+2 <= len(b); i += 2 {
		if d := int(le.Uint16(b[i:])) - int(le.Uint16(b[i-2:])); d < 1 || d > maxToken {
			return false
		}
	}
	return true
}

// vocabulary reads the index at va and the tokens before it. The last token's length is in no table: the place where all
// others end as the index says is the table's.
func (s *search) vocabulary(va uint64) *vocabulary {
	const room = maxToken + 8 // for the last token, and zeros up to the index's alignment
	index := make([]byte, indexSize)
	if s.read(va, index) != nil || !ascends(index) {
		return nil
	}
	last := int(le.Uint16(index[indexSize-2:]))
	b := make([]byte, last+room)
	if s.read(va-uint64(len(b)), b) != nil {
		return nil
	}
	low := va - uint64(len(b))
	for at := range uint64(room) {
		w := vocabulary{index: va, table: low + at}
		if w.table%4 == 0 && w.cut(b[at:], index) {
			return &w
		}
	}
	return nil
}

// cut divides b into tokens. The characters that names consist of stand for themselves.
func (w *vocabulary) cut(b, index []byte) bool {
	for i := range tokens {
		start, end := int(le.Uint16(index[2*i:])), len(b)
		if i < tokens-1 {
			end = int(le.Uint16(index[2*i+2:]))
		}
		t := b[start:end]
		n := 0
		for n < len(t) && t[n] > ' ' && t[n] < 0x7f {
			n++
		}
		if n == len(t) || t[n] != 0 || i < tokens-1 && n != len(t)-1 {
			return false
		}
		if i == tokens-1 && (len(t)-n > 8 || !zeros(t[n:])) {
			return false
		}
		w.token[i] = t[:n:n]
	}
	for _, c := range "_0aet" {
		if string(w.token[c]) != string(c) {
			return false
		}
	}
	return true
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
