package iobus

import (
	"fmt"
	"strings"
	"testing"
)

// log is a device that writes down what is asked of it.
type log struct {
	name string
	out  *[]string
	v    uint64
}

func (l log) Read(off uint64, size uint8) uint64 {
	*l.out = append(*l.out, fmt.Sprintf("%s r%d@%d", l.name, size, off))
	return l.v >> (8 * off)
}

func (l log) Write(off uint64, size uint8, v uint64) {
	*l.out = append(*l.out, fmt.Sprintf("%s w%d@%d=%#x", l.name, size, off, v))
}

func TestBus_routes(t *testing.T) {
	for _, c := range []struct {
		name  string
		at    uint64
		size  uint8
		want  uint64
		calls string
	}{
		{"one register", 0x10, 1, 0x88, "a r1@0"},
		{"cut to the width", 0x10, 4, 0x55667788, "a r1@0 a r1@1 a r1@2 a r1@3"},
		{"wide register", 0x20, 4, 0x55667788, "b r4@0"},
		{"nobody", 0x40, 2, 0xffff, ""},
		{"across an end", 0x16, 4, 0xffff1122, "a r1@6 a r1@7"},
		{"across two", 0x26, 4, 0xffff1122, "b r1@6 b r1@7"},
		{"beyond the last address", 0xffff, 4, 0xffffff42, "e r1@0"},
		{"hidden by an earlier one", 0x12, 1, 0x66, "a r1@2"},
		{"switched off", 0x60, 1, 0xff, ""},
	} {
		var calls []string
		b := New(Ports)
		full := uint64(0x1122334455667788)
		b.Add(&Range{Base: 0x10, Size: 8, Width: 1, Device: log{"a", &calls, full}})
		b.Add(&Range{Base: 0x20, Size: 8, Width: 4, Device: log{"b", &calls, full}})
		b.Add(&Range{Base: 0x12, Size: 2, Width: 4, Device: log{"c", &calls, 0}})
		b.Add(&Range{Base: 0xffff, Size: 8, Width: 8, Device: log{"e", &calls, 0x42}})
		b.Add(&Range{Base: 0x60, Size: 1, Width: 1, Device: log{"d", &calls, 0}, Off: true})
		if c.name == "beyond the last address" {
			b.ranges[3].Size = 1
		}
		got, any := b.Read(c.at, c.size)
		if got != c.want || strings.Join(calls, " ") != c.calls || any != (c.calls != "") {
			t.Errorf("%s: %#x, want %#x; %q, want %q", c.name, got, c.want, calls, c.calls)
		}
	}
}

func TestBus_writes(t *testing.T) {
	var calls []string
	b := New(Ports)
	b.Add(&Range{Base: 4, Size: 2, Width: 2, Device: log{"a", &calls, 0}})
	if !b.Write(4, 2, 0xf1234) || !b.Write(3, 4, 0x11223344) || b.Write(9, 4, 1) {
		t.Error("who answered is wrong")
	}
	if got := strings.Join(calls, " "); got != "a w2@0=0x1234 a w1@0=0x33 a w1@1=0x22" {
		t.Error(got)
	}
}
