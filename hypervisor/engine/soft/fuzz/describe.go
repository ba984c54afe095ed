package fuzz

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"gozen/hypervisor/engine/soft/native"
	"gozen/hypervisor/x86/decode"
)

// Disassemble gives the bytes and the mnemonic of an instruction.
func Disassemble(b []byte) string {
	text := "?"
	if in, err := x86asm.Decode(b, 64); err == nil {
		text = strings.ToLower(in.String())
	}
	return fmt.Sprintf("%-32s %s", fmt.Sprintf("% x", b), text)
}

// Name gives an encoding as people write opcodes: prefix, opcode bytes, digit, operand size, and r or m.
func Name(e *decode.Encoding) string {
	var b strings.Builder
	if e.Opsize && e.Prefix != 0x66 {
		b.WriteString("66 ")
	}
	if e.Prefix != 0 {
		fmt.Fprintf(&b, "%02x ", e.Prefix)
	}
	if e.W {
		b.WriteString("W ")
	}
	switch e.Map {
	case 0:
	case 0x0f:
		b.WriteString("0f ")
	default:
		fmt.Fprintf(&b, "0f %02x ", e.Map)
	}
	fmt.Fprintf(&b, "%02x", e.Opcode)
	switch {
	case e.Fixed >= 0:
		fmt.Fprintf(&b, " %02x", e.Fixed)
	case e.Ext >= 0:
		fmt.Fprintf(&b, " /%d", e.Ext)
	}
	if e.ModRM && e.Fixed < 0 {
		if e.Mem {
			b.WriteString(" m")
		} else {
			b.WriteString(" r")
		}
	}
	if e.Size > 0 {
		fmt.Fprintf(&b, "%d", int(e.Size)*8)
	}
	return b.String()
}

// Describe prints a case, a state and what both sides made of it.
func Describe(c *Case, st *State, o *Outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "code at %#x: % x\n", native.ArenaCode+c.Start, c.Code)
	for i := range c.Instrs {
		in := &c.Instrs[i]
		fmt.Fprintf(&b, "  %#x  %s", native.ArenaCode+c.Start+in.Off, Disassemble(in.Bytes))
		if in.Target >= 0 {
			fmt.Fprintf(&b, "  -> %d", in.Target)
		}
		b.WriteByte('\n')
	}
	for _, d := range o.Differences {
		fmt.Fprintf(&b, "  DIFFERENT %s\n", d)
	}
	show := func(name string, x *native.Context) {
		fmt.Fprintf(&b, "%s: rip %#x rflags %#x gs %#x vector %d error %#x cr2 %#x\n", name, x.RIP, x.RFLAGS, x.GS, x.Vector, x.Error, x.CR2)
		for i, v := range x.GPR {
			fmt.Fprintf(&b, " %3s %016x", gprNames[i], v)
			if i&3 == 3 {
				b.WriteByte('\n')
			}
		}
		le := binary.LittleEndian
		fmt.Fprintf(&b, " fcw %04x fsw %04x ftw %02x mxcsr %04x\n", le.Uint16(x.FX[:]), le.Uint16(x.FX[2:]), x.FX[4], le.Uint32(x.FX[24:]))
		for i := 0; i < 8; i++ {
			fmt.Fprintf(&b, " st%d %04x %016x", i, le.Uint16(x.FX[40+16*i:]), le.Uint64(x.FX[32+16*i:]))
			if i&3 == 3 {
				b.WriteByte('\n')
			}
		}
		for i := 0; i < 16; i++ {
			fmt.Fprintf(&b, " xmm%-2d %016x %016x", i, le.Uint64(x.FX[168+16*i:]), le.Uint64(x.FX[160+16*i:]))
			if i&1 == 1 {
				b.WriteByte('\n')
			}
		}
	}
	show("start", &st.Context)
	show("soft", &o.Hot)
	show("host", &o.Host)
	fmt.Fprintf(&b, "memory: pool %#x", st.Pool)
	for _, p := range st.Patches {
		fmt.Fprintf(&b, ", %#x % x", linear(p.At), p.Data)
	}
	b.WriteByte('\n')
	return b.String()
}
