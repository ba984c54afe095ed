//go:build linux && amd64

package fuzz

import (
	"encoding/binary"
	"flag"
	"os"
	"strings"
	"testing"

	"gozen/hypervisor/engine/soft/native"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

var update = flag.Bool("update", false, "record the corpus anew on this host's processor")

func vendor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for _, l := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(l, "vendor_id"); ok {
			return strings.Trim(v, "\t :")
		}
	}
	return "unknown"
}

// foundCase is a case in which the software CPU once differed.
type foundCase struct {
	name      string
	code      []byte
	gpr       map[int]uint64
	flags     uint64
	fcw, fsw  uint16
	mxcsr     uint32
	pool      int
	undefined uint64
}

const mid = native.ArenaStack + 0x800

var foundCases = []foundCase{
	{name: "reserved x87 opcode with an exception pending", code: []byte{0xdb, 0xe6}, fcw: 0x37e, fsw: 0x8081},
	{name: "reserved x87 opcode beside FUCOMPP", code: []byte{0xda, 0xea}, fcw: 0x37e, fsw: 0x8081},
	{name: "reserved x87 opcode beside FCOMPP", code: []byte{0xde, 0xdf}, fcw: 0x37e, fsw: 0x8081},
	{name: "reserved x87 opcode beside FNOP", code: []byte{0xd9, 0xd2}, fcw: 0x37e, fsw: 0x8081},
	{name: "32-bit count of a REP that faults at once", code: []byte{0x67, 0xf3, 0x48, 0xaf}, gpr: map[int]uint64{x86.RCX: 0x438013ebc559e3cf, x86.RDI: 0xbf04}},
	{name: "REX.R with a segment register", code: []byte{0x66, 0x44, 0x8c, 0xdb}, gpr: map[int]uint64{x86.RBX: 8}},
	{name: "REX.R with SS", code: []byte{0x44, 0x8c, 0xd0}},
	{name: "CVTPS2PI with an unmasked exception", code: []byte{0x0f, 0x2d, 0xc8}, mxcsr: 0, fsw: 0x2800, pool: 0x40},
	{name: "CVTPI2PS with an unmasked exception", code: []byte{0x0f, 0x2a, 0xc1}, mxcsr: 0, fsw: 0x2800, pool: 0x40},
	{name: "OUTS with a count of zero", code: []byte{0xf3, 0x6f}},
	{name: "a control register that does not exist", code: []byte{0x44, 0x0f, 0x20, 0xca}},
	{name: "FBSTP of an unmasked invalid operand to read-only memory", code: []byte{0xdf, 0x37}, gpr: map[int]uint64{x86.RDI: native.ArenaReadOnly + 16}, fcw: 0x340, fsw: 0},
	{name: "FISTTP of an unmasked invalid operand to read-only memory", code: []byte{0xdf, 0x0f}, gpr: map[int]uint64{x86.RDI: native.ArenaReadOnly + 16}, fcw: 0x340},
	{name: "single step in REPNE SCAS", code: []byte{0xf2, 0xaf}, gpr: map[int]uint64{x86.RCX: 100, x86.RDI: native.ArenaData + 64}, flags: x86.FlagTF},
	{name: "INT3 under single step", code: []byte{0xcc}, flags: x86.FlagTF},
	{name: "MOV SS under single step", code: []byte{0x8e, 0xd0, 0x90, 0x90}, gpr: map[int]uint64{x86.RAX: 0x2b}, flags: x86.FlagTF},
	{name: "POP to an address of the stack segment that is not canonical", code: []byte{0x8f, 0x45, 0x90}, gpr: map[int]uint64{x86.RBP: 1 << 62}},
	{name: "PUSH from an address of the stack segment that is not canonical", code: []byte{0xff, 0x75, 0}, gpr: map[int]uint64{x86.RBP: 1 << 62}},
	{name: "PUSH with neither operand nor stack canonical", code: []byte{0xff, 0x37}, gpr: map[int]uint64{x86.RDI: 1 << 62, x86.RSP: 1 << 61}},
	{name: "FXSAVE to a misaligned address that is not canonical", code: []byte{0x0f, 0xae, 0x45, 1}, gpr: map[int]uint64{x86.RBP: 1 << 62}},
}

// found makes a case and state of a foundCase.
func (f *foundCase) make() (*Case, State) {
	c := &Case{Code: append([]byte(nil), f.code...), End: len(f.code)}
	for at := 0; at < len(f.code); {
		in := Instr{Off: at, Target: -1}
		decode.Decode(&in.In, f.code[at:], decode.Mode64)
		in.Bytes = f.code[at : at+max(int(in.In.Len), 1)]
		at += len(in.Bytes)
		c.Instrs = append(c.Instrs, in)
	}
	c.Undefined = make([]uint64, len(c.Instrs)+1)
	for i := range c.Undefined {
		c.Undefined[i] = f.undefined
	}
	c.Code = append(c.Code, 0xe9)
	c.Code = binary.LittleEndian.AppendUint32(c.Code, uint32(native.ArenaExit-(native.ArenaCode+len(c.Code)+4)))
	st := State{Pool: f.pool}
	x := &st.Context
	x.RIP, x.RFLAGS = native.ArenaCode, f.flags
	x.GPR[x86.RSP] = mid
	for r, v := range f.gpr {
		x.GPR[r] = v
	}
	le := binary.LittleEndian
	if f.fcw == 0 {
		f.fcw = 0x37f
	}
	le.PutUint16(x.FX[0:], f.fcw)
	le.PutUint16(x.FX[2:], f.fsw)
	x.FX[4] = 0xff
	if le.PutUint32(x.FX[24:], f.mxcsr); f.mxcsr == 0 && !strings.HasPrefix(f.name, "CVT") {
		le.PutUint32(x.FX[24:], 0x1f80)
	}
	return c, st
}

func TestCorpus_update(t *testing.T) {
	if !*update {
		t.Skip("records only with -update")
	}
	r, err := NewRunner(1)
	if err != nil {
		t.Skip(err)
	}
	rs, err := r.RecordAll(vendor(), 400)
	if err != nil {
		t.Fatal(err)
	}
	for i := range foundCases {
		f := &foundCases[i]
		var o Outcome
		c, st := f.make()
		r.Place(c)
		rec, ok := r.Record(f.name, vendor(), c, &st, &o)
		if !ok {
			t.Errorf("%s: %s", f.name, Describe(c, &st, &o))
		}
		rs = append(rs, rec)
	}
	if t.Failed() {
		return
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	w, err := os.Create(corpusFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteCorpus(w, rs); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
