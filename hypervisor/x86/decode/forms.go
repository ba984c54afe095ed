package decode

// Encoding is one form of an instruction in 64-bit mode: what the opcode tables tell apart, with its operand size and with
// a register or a memory operand.
type Encoding struct {
	Op     Op
	Form   Form
	Map    uint8 // 0 for the primary map, 0x0f, 0x38 or 0x3a
	Opcode uint8
	Prefix uint8 // prefix that selects the instruction, or REP: 0, 0x66, 0xf3 or 0xf2
	// Ext is the digit in ModRM.reg that selects the instruction, or -1; Fixed the whole ModRM byte, or -1.
	Ext, Fixed int16
	// Opsize and W: a 66 prefix, REX.W is needed for Size.
	Opsize, W bool
	Size      uint8 // as Inst.Size
	ModRM     bool  // has a ModRM byte
	Mem       bool  // the r/m operand is in memory
	Lock      bool  // a LOCK prefix is allowed
}

// slot is one combination of prefixes under which an opcode is decoded.
type slot struct {
	rep       uint8
	opsize, w bool
}

// slots go from fewer prefixes to more: what an earlier one gave is not listed again.
var slots = [...]slot{
	{0, false, false}, {0, true, false}, {0, false, true}, {0, true, true},
	{0xf3, false, false}, {0xf3, true, false}, {0xf3, false, true},
	{0xf2, false, false}, {0xf2, true, false}, {0xf2, false, true},
}

// found is what Decode made of an opcode with a ModRM byte.
type found struct {
	ok, modrm, lock bool
	op              Op
	form            Form
	size            uint8
}

// Encodings lists every form that Decode knows in 64-bit mode, in the order of the opcode maps.
func Encodings() (out []Encoding) {
	for _, m := range []uint8{0, 0x0f, 0x38, 0x3a} {
		for b := 0; b < 256; b++ {
			if m == 0 && (isPrefix(uint8(b)) || b&0xf0 == 0x40 || b == 0x0f) || m == 0x0f && (b == 0x38 || b == 0x3a) {
				continue
			}
			out = append(out, encodingsOf(m, uint8(b))...)
		}
	}
	return out
}

// Bytes gives the prefix, escape and opcode bytes with a REX prefix of the given low bits, without what follows the opcode.
func (e *Encoding) Bytes(rex uint8, force bool) (b []byte) {
	if e.Opsize && e.Prefix != 0x66 {
		b = append(b, 0x66)
	}
	if e.Prefix != 0 {
		b = append(b, e.Prefix)
	}
	if e.W {
		rex |= 8
	}
	if rex != 0 || force {
		b = append(b, 0x40|rex)
	}
	if e.Map != 0 {
		b = append(b, 0x0f)
		if e.Map != 0x0f {
			b = append(b, e.Map)
		}
	}
	return append(b, e.Opcode)
}

func try(m, opcode uint8, s slot, modrm uint8, lock bool) (f found) {
	e := Encoding{Map: m, Opcode: opcode, Prefix: s.rep, Opsize: s.opsize, W: s.w}
	b := e.Bytes(0, false)
	if lock {
		b = append([]byte{0xf0}, b...)
	}
	b = append(b, modrm)
	b = append(b, make([]byte, 12)...)
	var in Inst
	if Decode(&in, b[:min(len(b), MaxLen)], Mode64) != OK {
		return f
	}
	return found{ok: true, modrm: in.ModRM == modrm, op: in.Op, form: in.Form, size: in.Size}
}

// encodingsOf decodes an opcode under every prefix and ModRM byte and merges what is the same.
func encodingsOf(m, opcode uint8) (out []Encoding) {
	seen := map[Encoding]bool{}
	for _, s := range slots {
		var mem [8]found
		var reg [64]found
		for i := range mem {
			mem[i] = try(m, opcode, s, uint8(i)<<3|1, false)
			mem[i].ok = mem[i].ok && mem[i].form != FormC // ignores ModRM.mod
			mem[i].lock = mem[i].ok && try(m, opcode, s, uint8(i)<<3|1, true).ok
		}
		for i := range reg {
			reg[i] = try(m, opcode, s, 0xc0|uint8(i), false)
		}
		for _, e := range merge(mem[:], reg[:]) {
			e.Map, e.Opcode, e.Opsize = m, opcode, s.opsize
			switch {
			case repSelects(e.Op, e.Form) && s.rep != 0:
				e.Prefix = s.rep
			case e.Op > firstSSE-1 && s.opsize && s.rep == 0:
				e.Prefix, e.Opsize = 0x66, false
			case s.rep != 0:
				continue
			}
			k := e
			k.Opsize = false
			if !seen[k] {
				seen[k] = true
				e.W = s.w
				out = append(out, e)
			}
		}
	}
	return out
}

// repSelects reports whether F2 or F3 makes another instruction of it, or repeats it.
func repSelects(op Op, f Form) bool {
	switch op {
	case POPCNT, CRC32, PAUSE, RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE, RDPID:
		return true
	case XLAT:
		return false
	}
	return f == FormStr || op >= firstSSE
}

// merge makes encodings of what one opcode gave under one set of prefixes.
func merge(mem, reg []found) (out []Encoding) {
	make1 := func(f found, ext, fixed int, isMem bool) {
		if f.ok {
			out = append(out, Encoding{Op: f.op, Form: f.form, Size: f.size, ModRM: f.modrm, Mem: isMem, Lock: f.lock, Ext: int16(ext), Fixed: int16(fixed)})
		}
	}
	if reg[0].ok && !reg[0].modrm {
		make1(reg[0], -1, -1, false)
		return out
	}
	if same(mem) && mem[0].op != X87 {
		make1(mem[0], -1, -1, true)
	} else {
		for i, f := range mem {
			make1(f, i, -1, true)
		}
	}
	if same(reg) && reg[0].op != X87 {
		make1(reg[0], -1, -1, false)
		return out
	}
	for i := 0; i < 64; i += 8 {
		if same(reg[i:i+8]) && reg[i].op != X87 {
			make1(reg[i], i>>3, -1, false)
			continue
		}
		for k, f := range reg[i : i+8] {
			make1(f, i>>3, 0xc0|i|k, false)
		}
	}
	return out
}

func same(f []found) bool {
	for _, x := range f[1:] {
		if x != f[0] {
			return false
		}
	}
	return true
}
