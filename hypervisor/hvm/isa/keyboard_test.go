package isa

import (
	"bytes"
	"testing"
)

func TestKeyboard_answers(t *testing.T) {
	for _, c := range []struct {
		name  string
		ports []uint64 // pairs of port and byte
		want  []byte
	}{
		{"self test", []uint64{0x64, 0xaa}, []byte{0x55}},
		{"mode", []uint64{0x64, 0x60, 0x60, 0x47, 0x64, 0x20}, []byte{0x47}},
		{"keyboard test", []uint64{0x64, 0xab}, []byte{0}},
		{"no mouse", []uint64{0x64, 0xa9}, []byte{2}},
		{"mouse command", []uint64{0x64, 0xd4, 0x60, 0xff}, []byte{0xfe}},
		{"keyboard reset", []uint64{0x60, 0xff}, []byte{0xfa, 0xaa}},
		{"identify", []uint64{0x60, 0xf2}, []byte{0xfa, 0xab, 0x83}},
		{"lights", []uint64{0x60, 0xed, 0x60, 0x07}, []byte{0xfa, 0xfa}},
		{"loop", []uint64{0x64, 0xd3, 0x60, 0xa5}, []byte{0xa5}},
		{"output port", []uint64{0x64, 0xd1, 0x60, 0xdf, 0x64, 0xd0}, []byte{0xdf}},
		{"unknown", []uint64{0x64, 0x01}, nil},
	} {
		k := NewKeyboard(func(bool) {}, func() { t.Errorf("%s: reset", c.name) })
		for i := 0; i < len(c.ports); i += 2 {
			if c.ports[i] == 0x60 {
				k.WriteData(0, 1, c.ports[i+1])
			} else {
				k.WriteCommand(0, 1, c.ports[i+1])
			}
		}
		var got []byte
		for k.ReadStatus(0, 1)&kbcFull != 0 {
			got = append(got, byte(k.ReadData(0, 1)))
		}
		if !bytes.Equal(got, c.want) {
			t.Errorf("%s: %x, want %x", c.name, got, c.want)
		}
	}
}

func TestKeyboard_resetsAndBounds(t *testing.T) {
	resets, l := 0, &counts{}
	k := NewKeyboard(l.set, func() { resets++ })
	k.WriteCommand(0, 1, 0xfe)
	k.WriteSystemA(0, 1, 3)
	k.WriteCommand(0, 1, 0xd1)
	k.WriteData(0, 1, 2)
	if resets != 3 || k.ReadSystemA(0, 1) != 2 {
		t.Errorf("%d resets", resets)
	}
	k.WriteCommand(0, 1, 0x60)
	k.WriteData(0, 1, 1)
	for range 100 {
		k.WriteData(0, 1, 0xf4)
	}
	if len(k.queue) != maxKeyAnswers || !l.high {
		t.Errorf("%d answers wait, line %v", len(k.queue), l.high)
	}
	for range maxKeyAnswers {
		k.ReadData(0, 1)
	}
	if l.high || l.edges != maxKeyAnswers {
		t.Errorf("line %v after %d edges", l.high, l.edges)
	}
}
