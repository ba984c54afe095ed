package symbol

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// Symbol is one function (or label) of a guest.
type Symbol struct {
	Name string
	Addr uint64 // the guest-virtual address of its first byte
	Size uint64 // bytes up to the next symbol, or to the end of the text
}

// Table holds the symbols of one kernel or program. It does not change: any number of goroutines may use it.
type Table struct {
	addrs   []uint64 // ascending; of equal ones, the name that describes best comes first
	ends    []uint32 // where each name ends in names
	names   string
	text    []span // the main one first
	buildID []byte
}

// span is a range of addresses, end excluded.
type span struct{ start, end uint64 }

// Lookup gives the function that addr lies in. It is false outside of the text: there is no name for data, and none for modules.
// It allocates nothing.
func (t *Table) Lookup(addr uint64) (Symbol, bool) {
	end, ok := t.textEnd(addr)
	if !ok {
		return Symbol{}, false
	}
	next := sort.Search(len(t.addrs), func(i int) bool { return t.addrs[i] > addr })
	if next == 0 {
		return Symbol{}, false
	}
	first, _ := slices.BinarySearch(t.addrs[:next], t.addrs[next-1])
	if next < len(t.addrs) {
		end = min(end, t.addrs[next])
	}
	return Symbol{Name: t.name(first), Addr: t.addrs[first], Size: end - t.addrs[first]}, true
}

// textEnd gives the end of the piece of text that addr lies in.
func (t *Table) textEnd(addr uint64) (uint64, bool) {
	for _, s := range t.text {
		if addr >= s.start && addr < s.end {
			return s.end, true
		}
	}
	return 0, false
}

// Address gives the address of a symbol, data included. Of several with one name it gives the lowest. It goes through the whole table
// (about a millisecond for a kernel): ask once.
func (t *Table) Address(name string) (uint64, bool) {
	for i := range t.addrs {
		if t.name(i) == name {
			return t.addrs[i], true
		}
	}
	return 0, false
}

// Text gives the first address of the text, and the first behind it. For Linux that is _stext to _etext; its init text, which Lookup knows
// too, is elsewhere.
func (t *Table) Text() (start, end uint64) { return t.text[0].start, t.text[0].end }

// Len gives the number of symbols, data included.
func (t *Table) Len() int { return len(t.addrs) }

// BuildID gives the bytes of the NT_GNU_BUILD_ID note, nil where none was found. They belong to the Table.
func (t *Table) BuildID() []byte { return t.buildID }

func (t *Table) name(i int) string {
	start := uint32(0)
	if i > 0 {
		start = t.ends[i-1]
	}
	return t.names[start:t.ends[i]]
}

// builder collects the symbols of a Table.
type builder struct {
	syms  []entry
	names []byte
	cut   bool // a limit was reached
}

// entry is a symbol before it is sorted: its name is names[at : at+n].
type entry struct {
	addr  uint64
	at, n uint32
	rank  uint32 // the lower, the better it describes its address
}

// Limits of one table. The largest distribution kernels have some 250,000 symbols with 7 MB of names.
const (
	maxSymbols = 1 << 20
	maxNames   = 48 << 20
)

// add takes a symbol with its type as nm prints it. Padding before functions (__pfx_, __cfi_: Linux 6.2, scripts/kallsyms.c) and local
// labels of the assembler would only cut functions in two.
func (b *builder) add(addr uint64, typ byte, name []byte) {
	if len(b.syms) == maxSymbols || len(b.names)+len(name) > maxNames {
		b.cut = true
		return
	}
	s := string(name)
	if s == "" || strings.HasPrefix(s, "__pfx_") || strings.HasPrefix(s, "__cfi_") || strings.HasPrefix(s, ".L") {
		return
	}
	b.syms = append(b.syms, entry{addr, uint32(len(b.names)), uint32(len(name)), rank(typ, s)})
	b.names = append(b.names, name...)
}

// rank says how well a name describes its address, compared with others there: a global function before a local one, that before marks of
// the linker script such as __sched_text_start, those before data; then fewer leading underscores (memcpy, not __memcpy), strong before
// weak, and the shorter.
func rank(typ byte, name string) uint32 {
	var class, weak uint32
	switch {
	case mark(name):
		class = 2
	case typ == 'T':
	case typ == 'W':
		weak = 1
	case typ == 't' || typ == 'w':
		class = 1
	default:
		class = 3
	}
	bare := strings.TrimLeft(name, "_")
	return class<<20 | uint32(min(len(name)-len(bare), 15))<<16 | weak<<15 | uint32(min(len(name), 1<<15-1))
}

// mark tells the linker script's labels from functions.
func mark(name string) bool {
	switch name {
	case "_text", "_stext", "_etext", "_sinittext", "_einittext", "_start", "_end":
		return true
	}
	return strings.HasPrefix(name, "__") && (strings.HasSuffix(name, "_start") || strings.HasSuffix(name, "_end") || strings.HasSuffix(name, "_begin"))
}

// table sorts what was added. The text is for the caller to fill in.
func (b *builder) table() *Table {
	slices.SortFunc(b.syms, func(x, y entry) int {
		return cmp.Or(cmp.Compare(x.addr, y.addr), cmp.Compare(x.rank, y.rank), cmp.Compare(x.at, y.at))
	})
	t := &Table{addrs: make([]uint64, len(b.syms)), ends: make([]uint32, len(b.syms))}
	var names strings.Builder
	names.Grow(len(b.names))
	for i, s := range b.syms {
		names.Write(b.names[s.at : s.at+s.n])
		t.addrs[i], t.ends[i] = s.addr, uint32(names.Len())
	}
	t.names = names.String()
	return t
}
