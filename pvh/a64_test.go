package pvh

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/image"
)

func a64Kernel(t *testing.T, size uint64) *image.A64Image {
	t.Helper()
	b := make([]byte, 4096)
	binary.LittleEndian.PutUint64(b[16:], size)
	copy(b[56:], "ARM\x64")
	k, err := image.OpenA64("Image", bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestNewA64Plan_map(t *testing.T) {
	magic := guestmem.Range{Base: 0x39000000, Size: 0x4000}
	for _, tt := range []struct {
		mem  uint64
		want []guestmem.Range
	}{
		{256 << 20, []guestmem.Range{{Base: 0x40000000, Size: 256 << 20}}},
		{3 << 30, []guestmem.Range{{Base: 0x40000000, Size: 3 << 30}}},
		{4 << 30, []guestmem.Range{{Base: 0x40000000, Size: 3 << 30}, {Base: 0x200000000, Size: 1 << 30}}},
	} {
		p, err := NewA64Plan(A64Config{Memory: tt.mem, VCPUs: 2})
		if err != nil || !reflect.DeepEqual(p.RAM, tt.want) || !reflect.DeepEqual(p.All, append([]guestmem.Range{magic}, tt.want...)) {
			t.Errorf("%d MiB: %+v, %v", tt.mem>>20, p, err)
		}
	}
	for _, c := range []A64Config{{0, 1}, {1<<20 + 5, 1}, {A64MaxMemory + 4096, 1}, {1 << 28, 0}, {1 << 28, 129}} {
		if _, err := NewA64Plan(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	if A64GICD != 0x3000000 || A64GICR != 0x3020000 || A64ConsoleGFN != 0x39000 || A64XenstoreGFN != 0x39001 {
		t.Errorf("gicd %#x gicr %#x console %#x xenstore %#x", A64GICD, A64GICR, A64ConsoleGFN, A64XenstoreGFN)
	}
}

func TestA64Load_places(t *testing.T) {
	for _, tt := range []struct {
		name             string
		mem, kernel      uint64
		initrd           int
		wantRD, wantTree uint64
	}{
		{"room at 128 MiB", 256 << 20, 30 << 20, 5 << 20, 0x48000000, 0x48600000},
		{"little memory", 64 << 20, 30 << 20, 5<<20 + 1, 0x43800000, 0x43e00000},
		{"large kernel", 256 << 20, 130 << 20, 1, 0x4fc00000, 0x4fe00000},
		{"no initrd", 64 << 20, 1 << 20, 0, 0, 0x43e00000},
		{"just fits", 8 << 20, 1 << 20, 4 << 20, 0x40200000, 0x40600000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewA64Plan(A64Config{Memory: tt.mem, VCPUs: 1})
			if err != nil {
				t.Fatal(err)
			}
			m, err := guestmem.New(p.All)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			var rd *Initrd
			disk := bytes.Repeat([]byte{0xa5}, tt.initrd)
			if tt.initrd > 0 {
				rd = &Initrd{Name: "rd", R: bytes.NewReader(disk), Size: int64(tt.initrd)}
			}
			b, err := p.Load(m, a64Kernel(t, tt.kernel), rd, "console=hvc0")
			if err != nil {
				t.Fatal(err)
			}
			if uint64(b.Initrd.Base) != tt.wantRD || uint64(b.Tree.Base) != tt.wantTree || b.Initrd.Size != uint64(tt.initrd) {
				t.Errorf("initrd at %#x, tree at %#x", uint64(b.Initrd.Base), uint64(b.Tree.Base))
			}
			if b.State.PC != 0x40000000 || b.State.X[0] != uint64(b.Tree.Base) || b.State.PSTATE != 0x3c5 {
				t.Errorf("pc %#x x0 %#x pstate %#x", b.State.PC, b.State.X[0], b.State.PSTATE)
			}
			got := make([]byte, tt.initrd)
			if err := m.Read(b.Initrd.Base, got); tt.initrd > 0 && (err != nil || !bytes.Equal(got, disk)) {
				t.Errorf("initrd differs: %v", err)
			}
			if w, err := m.Read32(b.Tree.Base); err != nil || w != 0xedfe0dd0 {
				t.Errorf("tree starts with %#x, %v", w, err)
			}
		})
	}
}

func TestA64Load_refuses(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		mem        uint64
		kernel     uint64
		initrd     int64
		cmdline    string
	}{
		{"kernel too large", "memory=", 16 << 20, 32 << 20, 0, ""},
		{"no room for the tree", "memory=", 4 << 20, 3 << 20, 0, ""},
		{"initrd too large", "ramdisk rd", 16 << 20, 1 << 20, 14 << 20, ""},
		{"initrd absurd", "ramdisk rd", 16 << 20, 1 << 20, 1 << 62, ""},
		{"initrd negative", "ramdisk rd", 16 << 20, 1 << 20, -1, ""},
		{"long command line", "command line", 16 << 20, 1 << 20, 0, strings.Repeat("x", 5000)},
	} {
		p, err := NewA64Plan(A64Config{Memory: tt.mem, VCPUs: 1})
		if err != nil {
			t.Fatal(err)
		}
		m, err := guestmem.New(p.All)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		var rd *Initrd
		if tt.initrd != 0 {
			rd = &Initrd{Name: "rd", R: zeros{}, Size: tt.initrd}
		}
		if _, err := p.Load(m, a64Kernel(t, tt.kernel), rd, tt.cmdline); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
