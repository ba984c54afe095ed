package symbol

// The tables lie behind one another in .rodata, each aligned to 4 or 8 bytes, in one of these orders (scripts/kallsyms.c):
//
//	since 6.4:  num_syms names markers token_table token_index offsets relative_base seqs_of_names
//	before:     offsets relative_base num_syms names markers [seqs_of_names] token_table token_index
//
// seqs_of_names (since 6.2, in stable kernels since 6.1.60) has 3 bytes a symbol, and at first 4.

// Limits of the tables around the tokens.
const (
	maxBelow    = 12 << 20 // names, sequence numbers and offsets before token_table
	markEvery   = 256      // names between two markers
	minMarkers  = 4
	maxNameStep = 20 << 10 // packed bytes between two markers: KSYM_NAME_LEN would allow more, but the average is below 20 bytes a name
)

// layout is where the names were found.
type layout struct {
	n     int    // kallsyms_num_syms
	names []byte // the packed names, from the first to the last
	num   uint64 // the address of kallsyms_num_syms
}

// below reads what lies before va, as far down as there is memory, at most limit bytes.
func (s *search) below(va uint64, limit int) []byte {
	buf := make([]byte, limit)
	at, size := limit, block
	for at > 0 {
		n := min(at, int((va-1)%uint64(size))+1)
		if s.read(va-uint64(n), buf[at-n:at]) == nil {
			at, va = at-n, va-uint64(n)
		} else if size == page {
			break
		} else {
			size = page
		}
	}
	return buf[at:]
}

// names looks in b, the memory that ends at address end, for markers and the names before them, nearest to the end first. The markers
// begin with a zero and ascend.
func (s *search) names(b []byte, end uint64) (layout, bool) {
	low := end - uint64(len(b))
	first := int(-low & 3)
	tries := 64
	for at := first + (len(b)-first)/4*4 - 4*minMarkers; at >= 0 && tries > 0; at -= 4 {
		m := markers(b[at:])
		if m < minMarkers {
			continue
		}
		tries--
		// What follows the markers may look like one more.
		for k := m; k >= max(m-2, minMarkers); k-- {
			if l, ok := s.namesBefore(b, at, k); ok {
				l.num += low
				return l, true
			}
		}
	}
	return layout{}, false
}

// markers counts the markers at the beginning of b; 0 if there are none.
func markers(b []byte) int {
	if le.Uint32(b) != 0 {
		return 0
	}
	n, prev := 1, uint32(0)
	for ; 4*n+4 <= len(b); n++ {
		v := le.Uint32(b[4*n:])
		if v < prev+2*markEvery || v-prev > maxNameStep {
			break
		}
		prev = v
	}
	return n
}

// namesBefore checks that names lie right before the m markers at b[at:], and the number of symbols before those.
func (s *search) namesBefore(b []byte, at, m int) (layout, bool) {
	last := int(le.Uint32(b[at+4*(m-1):]))
	// The names behind the last marker are unknown: so is where the first one begins.
	for num := (at - last - 2 - 4) &^ 3; num >= 0 && num > at-last-maxNameStep-16; num -= 4 {
		n := int(le.Uint32(b[num:]))
		if n > maxSymbols || (n+markEvery-1)/markEvery != m {
			continue
		}
		for _, gap := range [2]int{4, 8} {
			if size, ok := s.walk(b[num+gap:at], n, b[at:at+4*m]); ok {
				return layout{n, b[num+gap : num+gap+size], uint64(num)}, true
			}
		}
	}
	return layout{}, false
}

// walk goes through n packed names, which must agree with the markers and leave at most 7 bytes of zeros behind them.
func (s *search) walk(b []byte, n int, marks []byte) (size int, ok bool) {
	at := 0
	for i := range n {
		if i%markEvery == 0 && at != int(le.Uint32(marks[i/markEvery*4:])) {
			return 0, false
		}
		_, next, ok := packed(b, at)
		if s.walked--; !ok || s.walked < 0 {
			return 0, false
		}
		at = next
	}
	return at, len(b)-at < 8 && zeros(b[at:])
}

// packed gives the packed name at b[at:], and where the next begins. Its length is a ULEB128 of one byte, or of two (since 6.1).
func packed(b []byte, at int) (name []byte, next int, ok bool) {
	if at >= len(b) {
		return nil, 0, false
	}
	n := int(b[at])
	at++
	if n&0x80 != 0 {
		if at >= len(b) {
			return nil, 0, false
		}
		n = n&0x7f | int(b[at])<<7
		at++
	}
	if n == 0 || n > len(b)-at {
		return nil, 0, false
	}
	return b[at : at+n], at + n, true
}
