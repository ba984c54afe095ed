package aml

import (
	"bytes"
	"testing"
)

func TestEncoding(t *testing.T) {
	long := bytes.Repeat([]byte{0}, 100)
	for _, c := range []struct {
		name      string
		got, want []byte
	}{
		{"zero", Int(0), []byte{0}},
		{"byte", Int(0x7f), []byte{0x0a, 0x7f}},
		{"word", Int(0x1234), []byte{0x0b, 0x34, 0x12}},
		{"double word", Int(0xfec00000), []byte{0x0c, 0, 0, 0xc0, 0xfe}},
		{"quad word", Int(1 << 32), []byte{0x0e, 0, 0, 0, 0, 1, 0, 0, 0}},
		{"EISA id", EISA("PNP0A03"), []byte{0x0c, 0x41, 0xd0, 0x0a, 0x03}},
		{"path", Path(`\_SB.PCI0`), []byte(`\` + "\x2e_SB_PCI0")},
		{"name", Name("PICD", Int(0)), []byte("\x08PICD\x00")},
		{"scope", Scope(`\_SB`), []byte("\x10\x06\\_SB_")},
		{"device", Device("ISA"), []byte("\x5b\x82\x05ISA_")},
		{"method", Method("_PIC", 1, StoreArg0("PICD")), []byte("\x14\x0c_PIC\x01\x70\x68PICD")},
		{"condition", If(Path("PICD"), Return(Path("AAAA"))), []byte("\xa0\x0aPICD\xa4AAAA")},
		{"package", Package(Int(0), Int(5)), []byte{0x12, 5, 2, 0, 0x0a, 5}},
		{"length of two bytes", Scope("A", long)[:3], []byte{0x10, 0x4a, 0x06}},
		{"length of three bytes", Scope("A", bytes.Repeat(long, 50))[:4], []byte{0x10, 0x8f, 0x38, 0x01}},
		{"resources", Resources(IO(0x70, 2), IRQ(8)), []byte{0x11, 0x10, 0x0a, 0x0d, 0x47, 1, 0x70, 0, 0x70, 0, 1, 2, 0x22, 0, 1, 0x79, 0}},
		{"buses", Buses(0, 255), []byte{0x88, 13, 0, 2, 12, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 1}},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: % x, want % x", c.name, c.got, c.want)
		}
	}
}
