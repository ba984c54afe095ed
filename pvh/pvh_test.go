package pvh

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/image"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

func mapEntry(addr, size uint64, typ uint32) xen.HVMMemmapTableEntry {
	return xen.HVMMemmapTableEntry{Addr: addr, Size: size, Type: typ}
}

func TestNewPlan_map(t *testing.T) {
	const gib = 1 << 30
	const ram, reserved, acpi = xen.XEN_HVM_MEMMAP_TYPE_RAM, xen.XEN_HVM_MEMMAP_TYPE_RESERVED, xen.XEN_HVM_MEMMAP_TYPE_ACPI
	tests := []struct {
		name string
		mem  uint64
		want []xen.HVMMemmapTableEntry
	}{
		{"256 MiB", 256 << 20, []xen.HVMMemmapTableEntry{mapEntry(0, 256<<20, ram), mapEntry(0xfc000000, 0x1000, acpi), mapEntry(0xfeff8000, 0x8000, reserved)}},
		{"up to the hole", 0xfc000000, []xen.HVMMemmapTableEntry{mapEntry(0, 0xfc000000, ram), mapEntry(0xfc000000, 0x1000, acpi), mapEntry(0xfeff8000, 0x8000, reserved)}},
		{"8 GiB", 8 * gib, []xen.HVMMemmapTableEntry{mapEntry(0, 0xfc000000, ram), mapEntry(0xfc000000, 0x1000, acpi), mapEntry(0xfeff8000, 0x8000, reserved),
			mapEntry(4*gib, 8*gib-0xfc000000, ram)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewPlan(Config{Memory: tt.mem, VCPUs: 2})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(p.E820, tt.want) {
				t.Errorf("got %x", p.E820)
			}
			if len(p.RAM) != len(p.E820) {
				t.Errorf("RAM %x", p.RAM)
			}
			sum := uint64(0)
			for _, e := range p.E820 {
				if e.Type == ram {
					sum += e.Size
				}
			}
			if sum != tt.mem {
				t.Errorf("%d bytes of RAM", sum)
			}
		})
	}
	if XenstoreGFN != 0xfeffc || ConsoleGFN != 0xfefff {
		t.Errorf("xenstore %#x, console %#x", XenstoreGFN, ConsoleGFN)
	}
}

func TestNewPlan_errors(t *testing.T) {
	for _, c := range []Config{{0, 1, 0}, {4096, 1, 0}, {1<<20 + 1, 1, 0}, {1 << 60, 1, 0}, {1 << 28, 0, 0}, {1 << 28, 100000, 0}} {
		if _, err := NewPlan(c); err == nil {
			t.Errorf("NewPlan(%+v): no error", c)
		}
	}
}

// kernel makes an ELF of one segment of size bytes at 1 MiB, with a PVH entry note unless entry is 0.
func kernel(t *testing.T, size int, entry uint32) *image.Kernel {
	t.Helper()
	le := binary.LittleEndian
	b := make([]byte, 64+2*56)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 2)
	le.PutUint16(b[18:], 62)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 2)
	note := append(binary.LittleEndian.AppendUint32(nil, 4), 4, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0)
	note = le.AppendUint32(note, entry)
	if entry == 0 {
		note[8] = byte(image.NoteVirtBase)
	}
	for i, h := range []struct{ typ, off, phys, size uint64 }{
		{1, uint64(len(b)), 1 << 20, uint64(size)}, {4, uint64(len(b) + size), 0, uint64(len(note))}} {
		p := b[64+56*i:]
		le.PutUint32(p, uint32(h.typ))
		le.PutUint64(p[8:], h.off)
		le.PutUint64(p[24:], h.phys)
		le.PutUint64(p[32:], h.size)
		le.PutUint64(p[40:], h.size)
	}
	b = append(b, bytes.Repeat([]byte{0x90}, size)...)
	b = append(b, note...)
	k, err := image.Open("vmlinux", bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func domain(t *testing.T, mem uint64) (*Plan, *guestmem.Memory) {
	t.Helper()
	p, err := NewPlan(Config{Memory: mem, VCPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	m, err := guestmem.New(p.RAM)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return p, m
}

func TestLoad(t *testing.T) {
	p, m := domain(t, 16<<20)
	disk := bytes.Repeat([]byte("initrd!"), 100000)
	b, err := p.Load(m, kernel(t, 5000, 0x100010), &Initrd{Name: "rd", R: bytes.NewReader(disk), Size: int64(len(disk))}, "console=hvc0 quiet")
	if err != nil {
		t.Fatal(err)
	}
	if b.StartInfo != 0x102000 || b.KernelEnd != 0x101388 || b.State.RIP != 0x100010 || b.State.GPR[x86.RBX] != 0x102000 {
		t.Errorf("start info %#x, kernel end %#x, rip %#x, rbx %#x", b.StartInfo, b.KernelEnd, b.State.RIP, b.State.GPR[x86.RBX])
	}
	si := make([]byte, 56)
	m.Read(b.StartInfo, si)
	le := binary.LittleEndian
	if le.Uint32(si) != 0x336ec578 || le.Uint32(si[4:]) != 1 || le.Uint32(si[12:]) != 1 || le.Uint32(si[48:]) != 3 {
		t.Errorf("start info % x", si)
	}
	mod := make([]byte, 32)
	m.Read(guestmem.GPA(le.Uint64(si[16:])), mod)
	at, n := le.Uint64(mod), le.Uint64(mod[8:])
	if at%4096 != 0 || n != uint64(len(disk)) || at+n > 16<<20 || at+n+4096 <= 16<<20 || b.Initrd.Base != guestmem.GPA(at) {
		t.Errorf("module at %#x+%#x", at, n)
	}
	got := make([]byte, n)
	if err := m.Read(guestmem.GPA(at), got); err != nil || !bytes.Equal(got, disk) {
		t.Error("initrd differs", err)
	}
	cmd := make([]byte, 19)
	m.Read(guestmem.GPA(le.Uint64(si[24:])), cmd)
	if string(cmd) != "console=hvc0 quiet\x00" {
		t.Errorf("command line %q", cmd)
	}
	rsdp := make([]byte, 8)
	m.Read(guestmem.GPA(le.Uint64(si[32:])), rsdp)
	if string(rsdp) != "RSD PTR " {
		t.Errorf("rsdp %q", rsdp)
	}
	mm := make([]byte, 3*24)
	m.Read(guestmem.GPA(le.Uint64(si[40:])), mm)
	for i, e := range p.E820 {
		if g := mm[24*i:]; le.Uint64(g) != e.Addr || le.Uint64(g[8:]) != e.Size || le.Uint32(g[16:]) != e.Type {
			t.Errorf("memory map entry %d: % x", i, g[:24])
		}
	}
}

func TestLoad_noInitrd(t *testing.T) {
	p, m := domain(t, 2<<20)
	b, err := p.Load(m, kernel(t, 5000, 0x100010), nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := m.Read32(b.StartInfo + 12); n != 0 {
		t.Errorf("%d modules", n)
	}
}

func TestEntryState(t *testing.T) {
	s := entryState(0x1000850, 0x2000)
	if s.CR0 != 0x11 || s.CR4 != 0 || s.EFER != 0 || s.RFLAGS != 2 {
		t.Errorf("cr0 %#x cr4 %#x efer %#x rflags %#x", s.CR0, s.CR4, s.EFER, s.RFLAGS)
	}
	if c := s.Seg[x86.CS]; c.Attr != 0xc09b || c.Base != 0 || c.Limit != 0xffffffff {
		t.Errorf("cs %+v", c)
	}
	for _, r := range []int{x86.DS, x86.ES, x86.SS} {
		if d := s.Seg[r]; d.Attr != 0xc093 || d.Base != 0 || d.Limit != 0xffffffff {
			t.Errorf("segment %d %+v", r, d)
		}
	}
	if s.TR.Attr != 0x8b || s.TR.Limit != 0x67 {
		t.Errorf("tr %+v", s.TR)
	}
}

func TestLoad_errors(t *testing.T) {
	rd := func(n int64) *Initrd { return &Initrd{Name: "rd", R: io.LimitReader(zeros{}, n), Size: n} }
	tests := []struct {
		name, want string
		mem        uint64
		k          *image.Kernel
		rd         *Initrd
		cmd        string
	}{
		{"no note", "CONFIG_PVH", 4 << 20, kernel(t, 10, 0), nil, ""},
		{"no note, PV kernel", `type="pv"`, 4 << 20, kernel(t, 10, 0), nil, ""},
		{"entry outside", "0x500000", 4 << 20, kernel(t, 10, 0x500000), nil, ""},
		{"kernel too big", "memory=", 2 << 20, kernel(t, 1<<20, 0x100000), nil, ""},
		{"kernel much too big", "memory=", 1 << 20, kernel(t, 3<<20, 0x100000), nil, ""},
		{"initrd too big", "ramdisk rd", 4 << 20, kernel(t, 10, 0x100000), rd(3 << 20), ""},
		{"initrd absurd", "ramdisk rd", 4 << 20, kernel(t, 10, 0x100000), &Initrd{Name: "rd", R: zeros{}, Size: 1 << 62}, ""},
		{"initrd negative", "ramdisk rd", 4 << 20, kernel(t, 10, 0x100000), &Initrd{Name: "rd", R: zeros{}, Size: -1}, ""},
		{"initrd cut off", "read at byte", 4 << 20, kernel(t, 10, 0x100000), &Initrd{Name: "rd", R: bytes.NewReader(nil), Size: 10}, ""},
		{"long command line", "command line", 4 << 20, kernel(t, 10, 0x100000), nil, strings.Repeat("x", 5000)},
		{"NUL in command line", "command line", 4 << 20, kernel(t, 10, 0x100000), nil, "a\x00b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, m := domain(t, tt.mem)
			if _, err := p.Load(m, tt.k, tt.rd, tt.cmd); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to mention %q", err, tt.want)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestLoad_stockKernels loads the kernels found under the folder named by GOZEN_KERNELS (NAME/vmlinuz).
func TestLoad_stockKernels(t *testing.T) {
	dir := os.Getenv("GOZEN_KERNELS")
	files, _ := filepath.Glob(filepath.Join(dir, "*", "vmlinuz"))
	if dir == "" || len(files) == 0 {
		t.Skip("needs stock kernels as NAME/vmlinuz under the folder named by GOZEN_KERNELS")
	}
	for _, f := range files {
		t.Run(filepath.Base(filepath.Dir(f)), func(t *testing.T) {
			if a, err := image.OpenA64File(f); err == nil {
				defer a.Close()
				loadA64(t, a)
				return
			}
			k, err := image.OpenFile(f)
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			p, m := domain(t, 128<<20)
			b, err := p.Load(m, k, nil, "console=hvc0")
			if f == filepath.Join(dir, "i386-6.1", "vmlinuz") { // built without CONFIG_PVH, as Linux's Xen support for 32 bits needs PAE
				if err == nil || !strings.Contains(err.Error(), "XEN_ELFNOTE_PHYS32_ENTRY") {
					t.Errorf("a kernel without CONFIG_PVH: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var code [16]byte
			if err := m.Read(guestmem.GPA(b.State.RIP), code[:]); err != nil || code == [16]byte{} {
				t.Errorf("no code at the entry %#x: %v", b.State.RIP, err)
			}
			small, mem := domain(t, 32<<20)
			if _, err := small.Load(mem, k, nil, ""); err == nil || !strings.Contains(err.Error(), "memory=") {
				t.Errorf("in 32 MiB: %v", err)
			}
		})
	}
}

// loadA64 loads an arm64 kernel in the same way.
func loadA64(t *testing.T, k *image.A64Image) {
	p, err := NewA64Plan(A64Config{Memory: 256 << 20, VCPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	m, err := guestmem.New(p.All)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	b, err := p.Load(m, k, nil, "console=hvc0")
	if err != nil {
		t.Fatal(err)
	}
	var code [16]byte
	if err := m.Read(guestmem.GPA(b.State.PC), code[:]); err != nil || code == [16]byte{} {
		t.Errorf("no code at the entry %#x: %v", b.State.PC, err)
	}
}
