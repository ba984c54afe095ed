package guestmem

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const mib = 1 << 20

func TestPlan(t *testing.T) {
	huge := Backing{Huge: true}
	tests := []struct {
		base GPA
		size uint64
		b    Backing
		want []piece
	}{
		{0, 64 * mib, Backing{}, []piece{{0, 64 * mib, false, -1}}},
		{0, 64 * mib, huge, []piece{{0, 64 * mib, true, -1}}},
		{mib, 5 * mib, huge, []piece{{0, mib, false, -1}, {mib, 4 * mib, true, -1}}},
		{0, 3 * mib, huge, []piece{{0, 2 * mib, true, -1}, {2 * mib, mib, false, -1}}},
		{3 * mib, 4 * mib, huge, []piece{{0, mib, false, -1}, {mib, 2 * mib, true, -1}, {3 * mib, mib, false, -1}}},
		{mib, 2 * mib, huge, []piece{{0, 2 * mib, false, -1}}},
		{4 * mib, PageSize, huge, []piece{{0, PageSize, false, -1}}},
	}
	for _, tt := range tests {
		if got := tt.b.plan(tt.base, tt.size); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%#x+%#x: %+v, want %+v", tt.base, tt.size, got, tt.want)
		}
	}
	if n := HugePages([]Range{{mib, 5 * mib}, {1 << 32, 2 * mib}, {1 << 40, PageSize}}); n != 3 {
		t.Errorf("%d huge pages", n)
	}
}

func newBacked(t *testing.T, b Backing, r ...Range) *Memory {
	t.Helper()
	if b.Huge {
		if _, free, err := Pool(); err != nil || free < HugePages(r) {
			t.Skipf("needs %d free huge pages: echo %d > %s/nr_hugepages", HugePages(r), HugePages(r), PoolPath)
		}
	}
	m, err := NewBacked(r, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// backings are all that behave alike.
func backings() []Backing {
	var out []Backing
	for i := range 8 {
		out = append(out, Backing{Huge: i&1 != 0, Shared: i&2 != 0, Populate: i&4 != 0})
	}
	return out
}

func TestBackings_behaveAlike(t *testing.T) {
	for _, b := range backings() {
		t.Run(fmt.Sprintf("%+v", b), func(t *testing.T) {
			m := newBacked(t, b, Range{mib, 6 * mib}, Range{1 << 32, 2*mib + PageSize})
			for _, a := range []GPA{mib, 2*mib - 3, 4*mib - 3, 1 << 32, 1<<32 + 2*mib - 2} {
				want := []byte("guest")
				got := make([]byte, len(want))
				if err := m.Write(a, want); err != nil {
					t.Fatal(err)
				}
				if err := m.Read(a, got); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%#x: %q, %v", uint64(a), got, err)
				}
			}
			if p, ok := m.Span(mib, 6*mib); !ok || len(p) != 6*mib {
				t.Error("RAM is in pieces on the host")
			}
			for _, g := range []GFN{GPA(mib).GFN(), GPA(3 * mib).GFN(), GPA(1<<32 + 2*mib).GFN()} {
				if h := uintptr(unsafe.Pointer(m.HostPage(g))); (uint64(h)-uint64(g.GPA()))&(hugePage-1) != 0 {
					t.Errorf("frame %#x is at %#x: not congruent", uint64(g), h)
				}
				_ = m.Write64(g.GPA(), 7)
				if !m.Release(g) {
					t.Error("nothing to release")
				}
				if err := m.Populate(g); err != nil {
					t.Fatal(err)
				}
				if v, err := m.Read64(g.GPA()); v != 0 || err != nil {
					t.Errorf("frame %#x after release and populate: %d, %v", uint64(g), v, err)
				}
			}
			if b.Populate || b.Huge {
				checkResident(t, m, GPA(2*mib), 4*mib)
			}
		})
	}
}

// checkResident sees that the host has given all pages of a range.
func checkResident(t *testing.T, m *Memory, a GPA, n uint64) {
	t.Helper()
	p, ok := m.Span(a, n)
	if !ok {
		t.Fatal("no span")
	}
	vec := make([]byte, n/PageSize)
	if _, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&p[0])), uintptr(n), uintptr(unsafe.Pointer(&vec[0]))); e != 0 {
		t.Fatal(e)
	}
	missing := 0
	for _, v := range vec {
		if v&1 == 0 {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d pages are not there", missing, len(vec))
	}
}

func TestRelease_givesMemoryBack(t *testing.T) {
	for _, b := range []Backing{{Populate: true}, {Populate: true, Shared: true}} {
		m := newBacked(t, b, Range{0, 4 * mib})
		p := m.HostPage(5)
		if !m.Release(5) {
			t.Fatal("nothing to release")
		}
		var vec [1]byte
		if _, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(p)), PageSize, uintptr(unsafe.Pointer(&vec[0]))); e != 0 || vec[0]&1 != 0 {
			t.Errorf("%+v: the page is still there (%v)", b, e)
		}
	}
}

// TestShared_otherMapping has another mapping of the same files see what the guest writes, and the other way round.
func TestShared_otherMapping(t *testing.T) {
	for _, b := range []Backing{{Shared: true}, {Shared: true, Huge: true}} {
		t.Run(fmt.Sprintf("%+v", b), func(t *testing.T) {
			m := newBacked(t, b, Range{mib, 5 * mib}, Range{1 << 32, 2 * mib})
			var all uint64
			for _, s := range m.Segments() {
				all += s.Size
				other, err := unix.Mmap(s.FD, 0, int(s.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
				if err != nil {
					t.Fatal(err)
				}
				last := s.Base + GPA(s.Size) - 8
				if err := m.Write64(last, 0x1122334455667788); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(other[s.Size-8:], []byte{0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11}) {
					t.Errorf("%#x: the other mapping has % x", uint64(s.Base), other[s.Size-8:])
				}
				other[0] = 9
				if v, err := m.Read64(s.Base); v != 9 || err != nil {
					t.Errorf("%#x: the guest sees %#x, %v", uint64(s.Base), v, err)
				}
				if err := unix.Ftruncate(s.FD, 0); !errors.Is(err, unix.EPERM) {
					t.Errorf("the file can be cut: %v", err)
				}
				_ = unix.Munmap(other)
			}
			if all != 7*mib {
				t.Errorf("%d bytes in segments", all)
			}
		})
	}
	if s := newMemory(t, Range{0, mib}).Segments(); len(s) != 0 {
		t.Errorf("private memory has segments: %v", s)
	}
}

func TestHuge_poolTooSmall(t *testing.T) {
	if _, _, err := Pool(); err != nil {
		t.Skip("needs a kernel with huge pages of 2 MiB")
	}
	before := countFDs(t)
	for _, b := range []Backing{{Huge: true}, {Huge: true, Shared: true}} {
		m, err := NewBacked([]Range{{0, 1 << 40}}, b)
		if !errors.Is(err, ErrHugePages) {
			t.Errorf("%+v: %v", b, err)
		}
		if m != nil {
			m.Close()
		}
	}
	if n := countFDs(t); n != before {
		t.Errorf("%d open files, before %d", n, before)
	}
}

func countFDs(t *testing.T) int {
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}

// TestNew_limitedAddressSpace runs this test in a child whose address space is limited.
func TestNew_limitedAddressSpace(t *testing.T) {
	if os.Getenv("GUESTMEM_CHILD") == "1" {
		lim := unix.Rlimit{Cur: 4 << 30, Max: 4 << 30}
		if err := unix.Setrlimit(unix.RLIMIT_AS, &lim); err != nil {
			t.Skip(err)
		}
		_, err := New([]Range{{0, 8 << 30}})
		fmt.Println("error:", err, errors.Is(err, ErrNoMemory))
		return
	}
	c := exec.Command(os.Args[0], "-test.run=^TestNew_limitedAddressSpace$", "-test.v")
	c.Env = append(os.Environ(), "GUESTMEM_CHILD=1")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := "error: map 8192 MiB of guest memory: the host is out of memory, or a limit is reached (cannot allocate memory) true\n"
	if !strings.Contains(string(out), want) {
		t.Errorf("the child says\n%s\nwant %s", out, want)
	}
}
