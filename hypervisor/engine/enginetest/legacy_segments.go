package enginetest

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// segmentRow is an instruction in ring 0 with a changed segment; vector UD means that it goes through.
type segmentRow struct {
	name   string
	setup  func(m *machine)
	code   []byte
	vector int
	err    uint64
	next   int
}

func segment(n int, attr, limit uint32) func(m *machine) {
	return func(m *machine) { m.st.Seg[n].Attr, m.st.Seg[n].Limit = attr, limit }
}

// Attributes: with a limit in bytes, expand-down (32- and 16-bit), read-only, execute-only, readable code.
const (
	attrBytes    = 0x4093
	attrDown     = 0x4097
	attrDown16   = 0x0097
	attrReadOnly = 0xc091
	attrCodeOnly = 0xc099
)

// Code: mov eax, [0x1000] and [0xffe]; mov [0x1000], eax; the same through SS and CS.
var (
	loadDS     = []byte{0xa1, 0x00, 0x10, 0, 0, 0x0f, 0x0b}
	loadAcross = []byte{0xa1, 0xfe, 0x0f, 0, 0, 0x0f, 0x0b}
	storeDS    = []byte{0xa3, 0x00, 0x10, 0, 0, 0x0f, 0x0b}
	loadSS     = []byte{0x36, 0xa1, 0x00, 0x10, 0, 0, 0x0f, 0x0b}
	loadCS     = []byte{0x2e, 0xa1, 0x00, 0x10, 0, 0, 0x0f, 0x0b}
	storeCS    = []byte{0x2e, 0xa3, 0x00, 0x10, 0, 0, 0x0f, 0x0b}
)

// segmentRows: SDM 3A 5.3 and 5.4, limits and types.
var segmentRows = []segmentRow{
	{"beyond the limit", segment(x86.DS, attrBytes, 0xfff), loadDS, x86.VectorGP, 0, 0},
	{"across the limit", segment(x86.DS, attrBytes, 0x1000), loadAcross, x86.VectorGP, 0, 0},
	{"up to the limit", segment(x86.DS, attrBytes, 0x1001), loadAcross, x86.VectorUD, 0, 5},
	{"stack segment beyond the limit", segment(x86.SS, attrBytes, stackAt), []byte{0x36, 0xa1, 0x00, 0x00, 0x03, 0}, x86.VectorSS, 0, 0},
	{"stack segment", func(*machine) {}, loadSS, x86.VectorUD, 0, 6},
	{"write to read-only data", segment(x86.DS, attrReadOnly, 0xffffffff), storeDS, x86.VectorGP, 0, 0},
	{"read of read-only data", segment(x86.DS, attrReadOnly, 0xffffffff), loadDS, x86.VectorUD, 0, 5},
	{"write to code", func(*machine) {}, storeCS, x86.VectorGP, 0, 0},
	{"read of code", func(*machine) {}, loadCS, x86.VectorUD, 0, 6},
	{"read of execute-only code", segment(x86.CS, attrCodeOnly, 0xffffffff), loadCS, x86.VectorGP, 0, 0},
	{"null data segment", func(m *machine) { m.st.Seg[x86.DS] = x86.Segment{Attr: x86.AttrUnusable} }, loadDS, x86.VectorGP, 0, 0},
	{"expand-down below", segment(x86.DS, attrDown, 0x1000), loadDS, x86.VectorGP, 0, 0},
	{"expand-down above", segment(x86.DS, attrDown, 0xfff), loadDS, x86.VectorUD, 0, 5},
	{"expand-down of 16 bits above", segment(x86.DS, attrDown16, 0xfff), []byte{0xa1, 0xfe, 0xff, 0, 0, 0x0f, 0x0b}, x86.VectorGP, 0, 0},
	{"jump beyond the limit", segment(x86.CS, 0x409b, codeAt+0xfff), []byte{0xe9, 0x00, 0x20, 0, 0}, x86.VectorGP, 0, 0},
	{"bound", func(*machine) {}, []byte{0x62, 0x05, 0x00, 0x10, 0, 0}, x86.VectorBR, 0, 0}, // bound eax, [0x1000]: the GDT begins with zeros
	{"aam by zero", func(*machine) {}, []byte{0xd4, 0x00}, x86.VectorDE, 0, 0},
	{"null stack segment", func(*machine) {}, []byte{0x31, 0xc0, 0x8e, 0xd0}, x86.VectorGP, 0, 2},
	{"far jump to data", func(*machine) {}, []byte{0xea, 0, 0, 0, 0, data0Sel, 0}, x86.VectorGP, data0Sel, 0},
	{"into", func(*machine) {}, []byte{0xb0, 0x7f, 0x04, 0x01, 0xce}, x86.VectorOF, 0, 5},
}

func oneSegment(m *machine, r segmentRow) {
	m.st.GPR[x86.RAX] = 1
	r.setup(m)
	m.code32(func(a *asm.Asm) { a.Raw(r.code...) })
	e := m.run()
	if g := m.want(&e, r.vector, r.err); g.rip != codeAt+uint64(r.next) {
		m.Errorf("saved eip %#x, want %#x", g.rip, codeAt+r.next)
	}
}
