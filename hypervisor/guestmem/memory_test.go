package guestmem

import (
	"bytes"
	"errors"
	"testing"
)

func newMemory(t *testing.T, r ...Range) *Memory {
	t.Helper()
	m, err := New(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestNew_refusesBadRanges(t *testing.T) {
	for _, r := range [][]Range{
		{{Base: 1, Size: PageSize}}, {{Base: 0, Size: 100}}, {{Base: 0, Size: 0}}, {{Base: ^GPA(0) &^ 0xfff, Size: 2 * PageSize}},
		{{Base: 0, Size: 4 * PageSize}, {Base: 3 * PageSize, Size: PageSize}}, {{Base: 1 << 46, Size: PageSize}},
	} {
		if m, err := New(r); !errors.Is(err, ErrRange) {
			t.Errorf("%v: %v", r, err)
			if m != nil {
				m.Close()
			}
		}
	}
}

func TestReadWrite_acrossPagesAndHoles(t *testing.T) {
	m := newMemory(t, Range{0, 4 * PageSize}, Range{1 << 40, PageSize})
	want := bytes.Repeat([]byte{1, 2, 3, 4, 5}, 1500)
	if err := m.Write(100, want); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if err := m.Read(100, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read back: %v", err)
	}
	if err := m.Write(1<<40+8, []byte{9}); err != nil {
		t.Errorf("high memory: %v", err)
	}
	for _, a := range []GPA{4 * PageSize, 4*PageSize - 1, 1<<40 + PageSize, 1 << 45, ^GPA(0)} {
		if err := m.Read(a, make([]byte, 2)); !errors.Is(err, ErrUnmapped) && !errors.Is(err, ErrRange) {
			t.Errorf("read at %#x: %v", uint64(a), err)
		}
		if err := m.Write(a, make([]byte, 2)); err == nil {
			t.Errorf("write at %#x succeeded", uint64(a))
		}
	}
}

func TestReleasePopulate_givesZeroes(t *testing.T) {
	m := newMemory(t, Range{0, 16 * PageSize})
	var first []GFN
	m.OnChange(func(g GFN, n uint64) { first = append(first, g) })
	if err := m.Write64(5*PageSize, 7); err != nil {
		t.Fatal(err)
	}
	if !m.Release(5) || m.Release(5) || m.Backed() != 15 {
		t.Errorf("release: backed %d", m.Backed())
	}
	if _, err := m.Read64(5 * PageSize); !errors.Is(err, ErrUnmapped) {
		t.Errorf("read of a released page: %v", err)
	}
	for _, g := range []GFN{5, 1 << 20} {
		if err := m.Populate(g); err != nil {
			t.Fatal(err)
		}
		if v, err := m.Read64(g.GPA()); v != 0 || err != nil {
			t.Errorf("frame %#x: %d, %v", uint64(g), v, err)
		}
	}
	if err := m.Populate(maxGFN); !errors.Is(err, ErrRange) {
		t.Errorf("populate beyond the address space: %v", err)
	}
	if len(first) != 3 || first[0] != 5 || first[1] != 5 || first[2] != 1<<20 {
		t.Errorf("changes told: %x", first)
	}
}

func TestMap_overlayAndAtomics(t *testing.T) {
	m := newMemory(t, Range{0, 4 * PageSize})
	p, err := m.NewPage()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Map(2, p); err != nil {
		t.Fatal(err)
	}
	if err := m.Write(2*PageSize+3, []byte{0xaa}); err != nil {
		t.Fatal(err)
	}
	if p.Load8(3) != 0xaa || p.Load32(0) != 0xaa000000 {
		t.Errorf("overlay holds %#x", p.Load32(0))
	}
	p.Store8(2, 0xbb)
	if old := p.Or64(0, 1); old != 0xaabb0000 || !p.CAS64(0, 0xaabb0001, 5) || p.And32(0, 4) != 5 || p.Load64(0) != 4 {
		t.Errorf("atomics: %#x", p.Load64(0))
	}
	m.Unmap(2)
	if m.HostPage(2) != nil || p.Load64(0) != 4 {
		t.Error("unmap")
	}
	var wrote []GFN
	m.OnWrite(func(g GFN) { wrote = append(wrote, g) })
	_ = m.Write(PageSize-1, []byte{1, 2})
	if len(wrote) != 2 || wrote[0] != 0 || wrote[1] != 1 {
		t.Errorf("writes told: %v", wrote)
	}
}
