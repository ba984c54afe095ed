package paging

import (
	"bytes"
	"errors"
	"testing"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

func newMemory(t *testing.T) *guestmem.Memory {
	t.Helper()
	m, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 8 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func put(t *testing.T, m *guestmem.Memory, at guestmem.GPA, v uint64, size int) {
	t.Helper()
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	if err := m.Write(at, b); err != nil {
		t.Fatal(err)
	}
}

const cr0 = x86.CR0PE | x86.CR0PG

// The roots of the tests: 4-level tables at 0x1000, PAE pointers at 0x5020, a 32-bit directory at 0x8000.
var (
	long   = Root{CR0: cr0, CR3: 0x1000, CR4: x86.CR4PAE, EFER: x86.EFERLMA | x86.EFERLME}
	pae    = Root{CR0: cr0, CR3: 0x5020, CR4: x86.CR4PAE}
	legacy = Root{CR0: cr0, CR3: 0x8000, CR4: x86.CR4PSE}
	noPSE  = Root{CR0: cr0, CR3: 0x8000}
	none   = Root{CR0: x86.CR0PE}
)

func tables(t *testing.T) *guestmem.Memory {
	m := newMemory(t)
	for at, v := range map[guestmem.GPA]uint64{
		0x1000: 0x2003, 0x2000: 0x3003, 0x3000: 0x4003, 0x4000: 0x100003, 0x4008: 0x101001, 0x3008: 0x600083, 0x2008: 0x40000083, 0x1ff8: 0x2003,
		0x5020: 0x6001, 0x5038: 0x6001, 0x5028: 0x6000, 0x6000: 0x7003, 0x6008: 0x600081, 0x7000: 0x8000_0000_0010_2003, 0x7008: 0x1_2345_6003,
	} {
		put(t, m, at, v, 8)
	}
	for at, v := range map[guestmem.GPA]uint64{0x8000: 0x9003, 0x8004: 0x400083, 0x8008: 0x80c00081 | 3<<13, 0x8ffc: 0x9001,
		0x9000: 0x103083, 0x9004: 0x104001, 0x9ffc: 0x105003, 0xa00c: 0xb003} {
		put(t, m, at, v, 4)
	}
	return m
}

func TestTranslate(t *testing.T) {
	m := tables(t)
	for _, c := range []struct {
		name  string
		r     Root
		va    uint64
		write bool
		want  guestmem.GPA
		fails bool
	}{
		{"no paging", none, 0x1234567, true, 0x1234567, false},
		{"no paging, more than 32 bits", none, 1<<32 | 0x10, true, 0x10, false},
		{"4 KiB", long, 0x123, true, 0x100123, false},
		{"4 KiB, canonical and high", long, 0xffffff8000000123, true, 0x100123, false},
		{"read-only", long, 0x1123, false, 0x101123, false},
		{"write to read-only", long, 0x1123, true, 0, true},
		{"2 MiB", long, 0x200000 + 0x12345, true, 0x612345, false},
		{"1 GiB", long, 0x40000000 + 0x1234567, true, 0x41234567, false},
		{"absent", long, 0x2000, false, 0, true},
		{"not canonical", long, 1 << 47, false, 0, true},
		{"pae 4 KiB with NX", pae, 0x123, true, 0x102123, false},
		{"pae beyond 4 GiB", pae, 0x1123, true, 0x1_2345_6123, false},
		{"pae 2 MiB", pae, 0x212345, false, 0x612345, false},
		{"pae write to read-only 2 MiB", pae, 0x212345, true, 0, true},
		{"pae last pointer", pae, 0xc0000123, true, 0x102123, false},
		{"pae more than 32 bits", pae, 0xffffffff_c0000123, true, 0x102123, false},
		{"pae absent pointer", pae, 0x40000123, false, 0, true},
		{"32-bit, bit 7 of a table's entry is not a size", legacy, 0x123, true, 0x103123, false},
		{"32-bit write to read-only", legacy, 0x1123, true, 0, true},
		{"32-bit last entry", legacy, 0x3ff123, true, 0x105123, false},
		{"32-bit write under a read-only directory", legacy, 0xffc00123, true, 0, true},
		{"32-bit read under it", legacy, 0xffc00123, false, 0x103123, false},
		{"4 MiB", legacy, 0x400000 + 0x3ffffc, true, 0x7ffffc, false},
		{"4 MiB beyond 4 GiB", legacy, 0x800123, false, 3<<32 | 0x80c00123, false},
		{"32-bit absent", legacy, 0xc00000, false, 0, true},
		{"without PSE the entry names a table", noPSE, 0x400000, false, 0, true},
	} {
		got, err := Translate(m, c.r, c.va, c.write)
		if c.fails != errors.Is(err, ErrNotMapped) || !c.fails && got != c.want {
			t.Errorf("%s: %#x, %v; want %#x", c.name, uint64(got), err, uint64(c.want))
		}
	}
}

// TestCopy_wrapsAt4GiB: a buffer of 32-bit code may end behind the last address.
func TestCopy_wrapsAt4GiB(t *testing.T) {
	m := newMemory(t)
	put(t, m, 0x8000, 0x9003, 4)
	put(t, m, 0x8ffc, 0x9003, 4)
	put(t, m, 0x9000, 0x100003, 4)
	put(t, m, 0x9ffc, 0x200003, 4)
	if err := Copy(m, legacy, 0xfffffffc, []byte("abcdefgh"), true); err != nil {
		t.Fatal(err)
	}
	var a, b [4]byte
	if m.Read(0x200ffc, a[:]) != nil || m.Read(0x100000, b[:]) != nil || !bytes.Equal(append(a[:], b[:]...), []byte("abcdefgh")) {
		t.Errorf("%q %q", a, b)
	}
}
