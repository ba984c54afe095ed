package symbol

import (
	"errors"
	"fmt"
	"slices"
)

// ErrNotFound is returned where guest memory holds no symbol tables that Kallsyms understands: the guest may be no Linux, have built it
// without CONFIG_KALLSYMS, or not have got as far as mapping itself.
var ErrNotFound = errors.New("no kallsyms tables in the guest's memory")

// maxName is the longest name in bytes (KSYM_NAME_LEN).
const maxName = 512

// Kallsyms finds the symbol tables of a running x86-64 Linux kernel, with KASLR or without. read copies len(p) bytes of guest-virtual memory
// at va, whole or with an error; it must translate by page tables that map the kernel (with page table isolation, those that user
// programs run on do not: there bit 12 of CR3 is set). hint is an address in the kernel's text, such as RIP in kernel mode or
// MSR_LSTAR; it only shortens the search, 0 is none.
//
// The guest should be stopped: what changes meanwhile is refused or gives wrong names. Errors wrap ErrNotFound. It takes some tens of
// milliseconds, at worst a second, and some 20 MiB while it works.
func Kallsyms(read func(va uint64, p []byte) error, hint uint64) (*Table, error) {
	var t *Table
	why := ErrNotFound
	s, tries := newSearch(read), 16
	s.anchors(hint, func(w *vocabulary) bool {
		var err error
		if t, err = s.table(w); err != nil {
			why = fmt.Errorf("%w: tokens at %#x: %w", ErrNotFound, w.table, err)
		}
		tries--
		return t != nil || tries == 0
	})
	if t == nil {
		return nil, why
	}
	t.buildID = kernelBuildID(read, t)
	return t, nil
}

// table makes a Table of the tables around a vocabulary.
func (s *search) table(w *vocabulary) (*Table, error) {
	b := s.below(w.table, maxBelow)
	l, ok := s.names(b, w.table)
	if !ok {
		return nil, errors.New("no names before them")
	}
	addrs, err := s.addresses(w, l)
	if err != nil {
		return nil, err
	}
	return unpack(l, w, addrs)
}

// addresses gives the address of each symbol, 0 for those that are none (per-CPU offsets).
func (s *search) addresses(w *vocabulary, l layout) ([]uint64, error) {
	size := uint64(4 * l.n)
	up := func(v uint64) uint64 { return (v + 7) &^ 7 }
	// After the tokens, aligned to 4 or 8 bytes; before the number of symbols.
	after := w.index + indexSize
	for _, at := range []struct{ offsets, base uint64 }{
		{after, up(after + size)}, {up(after), up(up(after) + size)}, {l.num - 8 - up(size), l.num - 8},
	} {
		p := make([]byte, size)
		var q [8]byte
		if s.read(at.offsets, p) != nil || s.read(at.base, q[:]) != nil {
			continue
		}
		if a := relative(p, le.Uint64(q[:]), w.table); a != nil {
			return a, nil
		}
	}
	return nil, fmt.Errorf("no addresses for %d names", l.n)
}

// relative computes addresses from a base (CONFIG_KALLSYMS_BASE_RELATIVE), which is the lowest address of the kernel. Where the first of
// the kernel's addresses has offset -1, negative offsets count down from the base and others are no addresses but per-CPU offsets
// (CONFIG_KALLSYMS_ABSOLUTE_PERCPU, up to 6.14); else all are unsigned. near is an address in the image. nil if the offsets make no
// sense.
func relative(p []byte, base, near uint64) []uint64 {
	if base%page != 0 || base < imageLow || base > near || near-base > imageHigh-imageLow {
		return nil
	}
	percpu := int32(le.Uint32(p[len(p)-4:])) < 0
	out := make([]uint64, len(p)/4)
	prev := base
	for i := range out {
		o := int32(le.Uint32(p[4*i:]))
		a := base + uint64(uint32(o))
		if percpu {
			a = base - 1 - uint64(int64(o))
		}
		if percpu && o >= 0 {
			if prev != base || i > 0 && o < int32(le.Uint32(p[4*i-4:])) {
				return nil // they come first, and ascend
			}
			continue
		}
		if a < prev || a >= imageHigh {
			return nil
		}
		out[i], prev = a, a
	}
	return out
}

// unpack expands the names. The first character of each is its type as nm prints it.
func unpack(l layout, w *vocabulary, addrs []uint64) (*Table, error) {
	b := builder{syms: make([]entry, 0, l.n), names: make([]byte, 0, 32*l.n)}
	var name []byte
	for at, i := 0, 0; i < l.n; i++ {
		p, next, ok := packed(l.names, at)
		if !ok {
			return nil, errors.New("names are cut off")
		}
		name, at = name[:0], next
		for _, c := range p {
			if name = append(name, w.token[c]...); len(name) > maxName {
				return nil, fmt.Errorf("name %d is too long", i)
			}
		}
		if addrs[i] != 0 && len(name) > 1 {
			b.add(addrs[i], name[0], name[1:])
		}
	}
	if b.cut {
		return nil, errors.New("too many names")
	}
	t := b.table()
	t.text = kernelText(t)
	if t.text == nil {
		return nil, errors.New("no symbols _stext and _etext")
	}
	return t, nil
}

// kernelText gives the text of a Linux kernel, and that of its initialisation.
func kernelText(t *Table) []span {
	var out []span
	for _, n := range [][2]string{{"_stext", "_etext"}, {"_sinittext", "_einittext"}} {
		start, ok := t.Address(n[0])
		end, ok2 := t.Address(n[1])
		if ok && ok2 && start < end {
			out = append(out, span{start, end})
		} else if out == nil {
			return nil
		}
	}
	return slices.Clip(out)
}
