package hvm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/image"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

func newPlan(t *testing.T, memory uint64, vcpus int) (*Plan, *guestmem.Memory) {
	t.Helper()
	p, err := NewPlan(PlanConfig{Memory: memory, VCPUs: vcpus, UUID: [16]byte{0x12, 0x34, 15: 0xff}, Serial: true})
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

func mapEntry(addr, size uint64, typ uint32) xen.HVMMemmapTableEntry {
	return xen.HVMMemmapTableEntry{Addr: addr, Size: size, Type: typ}
}

func TestNewPlan_memoryMap(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		name   string
		memory uint64
		want   []xen.HVMMemmapTableEntry
	}{
		{"small", 64 << 20, []xen.HVMMemmapTableEntry{mapEntry(0, 0x9e000, 1), mapEntry(0x9e000, 0x2000, 2), mapEntry(0xe0000, 0x20000, 2), mapEntry(1<<20, 63<<20, 1),
			mapEntry(0xfc000000, 0x4000000, 2)}},
		{"beyond 4 GiB", 5 * gib, []xen.HVMMemmapTableEntry{mapEntry(0, 0x9e000, 1), mapEntry(0x9e000, 0x2000, 2), mapEntry(0xe0000, 0x20000, 2), mapEntry(1<<20, 0xeff00000, 1),
			mapEntry(0xfc000000, 0x4000000, 2), mapEntry(4*gib, 5*gib-0xf0000000, 1)}},
	} {
		p, m := newPlan(t, c.memory, 1)
		if len(p.E820) != len(c.want) {
			t.Fatalf("%s: %+v", c.name, p.E820)
		}
		for i, e := range p.E820 {
			if e != c.want[i] {
				t.Errorf("%s: entry %d is %+v, want %+v", c.name, i, e, c.want[i])
			}
		}
		if m.HostPage(0xa0) != nil || m.HostPage(0xbf) != nil || m.HostPage(0x9f) == nil || m.HostPage(0xc0) == nil || m.HostPage(ConsoleGFN) == nil {
			t.Errorf("%s: memory is where none should be, or the other way round", c.name)
		}
	}
	for _, c := range []PlanConfig{{Memory: 1 << 20, VCPUs: 1}, {Memory: 64<<20 + 1, VCPUs: 1}, {Memory: 1 << 46, VCPUs: 1}, {Memory: 64 << 20},
		{Memory: 64 << 20, VCPUs: 129}} {
		if _, err := NewPlan(c); err == nil {
			t.Errorf("%+v accepted", c)
		}
	}
}

// acpiTables finds the tables from the RSDP on, as a guest does.
func acpiTables(t *testing.T, m *guestmem.Memory) map[string][]byte {
	t.Helper()
	read := func(a uint64, n int) []byte {
		b := make([]byte, n)
		if err := m.Read(guestmem.GPA(a), b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	r := read(rsdpAt, 36)
	if string(r[:8]) != "RSD PTR " || sum(r[:20]) != 0 || sum(r) != 0 {
		t.Fatalf("RSDP % x", r)
	}
	out := map[string][]byte{}
	table := func(a uint64) []byte {
		b := read(a, int(le.Uint32(read(a, 8)[4:])))
		if sig := string(b[:4]); sig != "FACS" && sum(b) != 0 {
			t.Errorf("%s: checksum is wrong", sig)
		}
		out[string(b[:4])] = b
		return b
	}
	x := table(le.Uint64(r[24:]))
	for i := 36; i < len(x); i += 8 {
		table(le.Uint64(x[i:]))
	}
	table(le.Uint64(out["FACP"][fadtXDSDT:]))
	if at := le.Uint64(out["FACP"][fadtXFACS:]); at%64 != 0 {
		t.Errorf("FACS at %#x", at)
	}
	return out
}

func TestTables(t *testing.T) {
	p, m := newPlan(t, 64<<20, 2)
	if err := p.firmware(m); err != nil {
		t.Fatal(err)
	}
	tt := acpiTables(t, m)
	f := tt["FACP"]
	for at, want := range map[int]uint32{fadtPM1Event: 0xb000, fadtPM1Ctl: 0xb004, fadtPMTimer: 0xb008, fadtGPE0: 0xafe0, fadtSCI: 9, fadtFlags: 0x525} {
		if got := le.Uint32(f[at:]); got != want {
			t.Errorf("FADT at %d: %#x, want %#x", at, got, want)
		}
	}
	want := []byte{0, 0, 0xe0, 0xfe, 1, 0, 0, 0, 0, 8, 0, 0, 1, 0, 0, 0, 0, 8, 1, 2, 1, 0, 0, 0, 1, 12, 1, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0,
		2, 10, 0, 0, 2, 0, 0, 0, 0, 0, 2, 10, 0, 5, 5, 0, 0, 0, 15, 0, 2, 10, 0, 10, 10, 0, 0, 0, 15, 0, 2, 10, 0, 11, 11, 0, 0, 0, 15, 0,
		4, 6, 0xff, 0, 0, 1}
	if got := tt["APIC"][36:]; !bytes.Equal(got, want) {
		t.Errorf("MADT % x", got)
	}
	if h := tt["HPET"]; le.Uint32(h[36:]) != 0x8086a201 || le.Uint64(h[44:]) != 0xfed00000 {
		t.Errorf("HPET % x", h)
	}
}

// TestTables_iasl has ACPICA's compiler read the tables.
func TestTables_iasl(t *testing.T) {
	if _, err := exec.LookPath("iasl"); err != nil {
		t.Skip("needs iasl (Debian package acpica-tools)")
	}
	p, m := newPlan(t, 64<<20, 2)
	if err := p.firmware(m); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for sig, b := range acpiTables(t, m) {
		f := filepath.Join(dir, sig+".dat")
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("iasl", "-d", f).CombinedOutput()
		if err != nil || strings.Contains(string(out), "Error") || strings.Contains(string(out), "Warning") {
			t.Errorf("iasl -d %s: %v\n%s", sig, err, out)
		}
	}
	out, err := exec.Command("iasl", filepath.Join(dir, "DSDT.dsl")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "0 Errors, 0 Warnings") {
		t.Errorf("iasl DSDT.dsl: %v\n%s", err, out)
	}
}

func TestSMBIOS(t *testing.T) {
	b := smbios(PlanConfig{UUID: [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}, smbiosAt)
	if string(b[:4]) != "_SM_" || sum(b[:31]) != 0 || sum(b[16:31]) != 0 {
		t.Fatalf("entry point % x", b[:31])
	}
	s := b[le.Uint32(b[24:])-smbiosAt:]
	if len(s) != int(le.Uint16(b[22:])) {
		t.Errorf("%d bytes of structures, announced are %d", len(s), le.Uint16(b[22:]))
	}
	n := 0
	for typ := -1; typ != 127; n++ {
		typ = int(s[0])
		if typ == 1 && !bytes.Equal(s[8:24], []byte{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15}) {
			t.Errorf("UUID % x", s[8:24])
		}
		if typ == 1 && !strings.Contains(string(s), "00010203-0405-0607-0809-0a0b0c0d0e0f") {
			t.Error("serial number is not the UUID")
		}
		end := bytes.Index(s[s[1]:], []byte{0, 0})
		s = s[int(s[1])+end+2:]
	}
	if n != int(le.Uint16(b[28:])) || len(s) != 0 {
		t.Errorf("%d structures, %d bytes left", n, len(s))
	}
}

// kernel makes an ELF kernel of one segment at phys, with its entry at the given offset.
func kernel(t *testing.T, bits int, size, phys, entry uint64) *image.Kernel {
	t.Helper()
	b := make([]byte, 0x1000+size)
	copy(b, "\x7fELF")
	b[5], b[6] = 1, 1
	if bits == 64 {
		b[4] = 2
		le.PutUint16(b[16:], 2)
		le.PutUint16(b[18:], 62)
		le.PutUint32(b[20:], 1)
		le.PutUint64(b[24:], entry)
		le.PutUint64(b[32:], 64)
		le.PutUint16(b[52:], 64)
		le.PutUint16(b[54:], 56)
		le.PutUint16(b[56:], 1)
		h := b[64:]
		le.PutUint32(h, 1)
		le.PutUint32(h[4:], 7)
		for i, v := range []uint64{0x1000, 0xffffffff80000000 + phys, phys, size, size + 100, 0x1000} {
			le.PutUint64(h[8+8*i:], v)
		}
	} else {
		b[4] = 1
		le.PutUint16(b[16:], 2)
		le.PutUint16(b[18:], 3)
		le.PutUint32(b[20:], 1)
		le.PutUint32(b[24:], uint32(entry))
		le.PutUint32(b[28:], 52)
		le.PutUint16(b[40:], 52)
		le.PutUint16(b[42:], 32)
		le.PutUint16(b[44:], 1)
		h := b[52:]
		for i, v := range []uint64{1, 0x1000, 0xc0000000 + phys, phys, size, size + 100, 7, 0x1000} {
			le.PutUint32(h[4*i:], uint32(v))
		}
	}
	for i := range size {
		b[0x1000+i] = byte(i)
	}
	k, err := image.Open("kernel", bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func TestLoad(t *testing.T) {
	for _, c := range []struct {
		name  string
		bits  int
		entry uint64
		want  uint64
	}{
		{"physical entry", 64, 0x1000040, 0x1000040}, {"virtual entry", 64, 0xffffffff81000040, 0x1000040}, {"32-bit", 32, 0x1000010, 0x1000010},
		{"32-bit, virtual", 32, 0xc1000010, 0x1000010},
	} {
		p, m := newPlan(t, 64<<20, 1)
		disk := bytes.Repeat([]byte{7}, 5000)
		s, err := p.Load(m, kernel(t, c.bits, 0x3000, 1<<24, c.entry), &image.Initrd{Name: "rd", R: bytes.NewReader(disk), Size: 5000}, "quiet")
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		long := s.EFER&x86.EFERLMA != 0 && s.CR0&x86.CR0PG != 0 && s.Seg[x86.CS].Attr&x86.AttrL != 0
		if s.RIP != c.want || s.GPR[x86.RSI] != bootAt || long != (c.bits == 64) {
			t.Errorf("%s: entry %#x, rsi %#x, long mode %v", c.name, s.RIP, s.GPR[x86.RSI], long)
		}
		var bp [bpSize]byte
		var cmd [6]byte
		_ = m.Read(bootAt, bp[:])
		_ = m.Read(guestmem.GPA(le.Uint32(bp[bpCmdline:])), cmd[:])
		if string(cmd[:]) != "quiet\x00" || bp[bpE820N] != 5 || le.Uint64(bp[bpRSDP:]) != rsdpAt || string(bp[bpMagic:bpMagic+4]) != "HdrS" {
			t.Errorf("%s: boot parameters are wrong, command line %q", c.name, cmd)
		}
		at, n := guestmem.GPA(le.Uint32(bp[bpInitrd:])), le.Uint32(bp[bpInitrdLen:])
		got := make([]byte, n)
		if _ = m.Read(at, got); !bytes.Equal(got, disk) || at%4096 != 0 {
			t.Errorf("%s: RAM disk of %d bytes at %#x", c.name, n, uint64(at))
		}
		if v, _ := m.Read64(pml4At); v != pml4At+0x1003 {
			t.Errorf("%s: page table %#x", c.name, v)
		}
		if v, _ := m.Read64(pml4At + 5*4096 + 511*8); v != 4<<30-2<<20|0x83 {
			t.Errorf("%s: last page maps %#x", c.name, v)
		}
	}
}

func TestLoad_refuses(t *testing.T) {
	rd := func(n int64) *image.Initrd { return &image.Initrd{Name: "rd", R: bytes.NewReader(nil), Size: n} }
	for _, c := range []struct {
		name, want string
		k          *image.Kernel
		rd         *image.Initrd
		cmdline    string
	}{
		{"too low", "it wants memory from 0x80000", kernel(t, 64, 100, 0x80000, 0x80000), nil, ""},
		{"too high", "give it more with memory=", kernel(t, 64, 100, 64<<20, 64<<20), nil, ""},
		{"no code at its entry", "the file is damaged", kernel(t, 64, 100, 1<<24, 1<<24+100), nil, ""},
		{"long command line", "4096 bytes", kernel(t, 64, 100, 1<<24, 1<<24), nil, strings.Repeat("x", 4096)},
		{"NUL in the command line", "without NUL", kernel(t, 64, 100, 1<<24, 1<<24), nil, "a\x00b"},
		{"initrd too large", "do not fit", kernel(t, 64, 100, 1<<24, 1<<24), rd(60 << 20), ""},
		{"initrd negative", "do not fit", kernel(t, 64, 100, 1<<24, 1<<24), rd(-1), ""},
		{"initrd cut off", "read at byte", kernel(t, 64, 100, 1<<24, 1<<24), rd(10), ""},
	} {
		p, m := newPlan(t, 64<<20, 1)
		if _, err := p.Load(m, c.k, c.rd, c.cmdline); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
