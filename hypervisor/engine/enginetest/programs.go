package enginetest

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// programs is the table for Compare: every row of faultRows, and programs for what has no single outcome to write down in a case.
func programs() []Program {
	var list []Program
	for _, r := range faultRows {
		list = append(list, Program{Name: r.name, User: r.user, Code: r.code, setup: r.setup})
	}
	for _, p := range tablePrograms {
		for _, user := range []bool{false, true} {
			at, ring := uint64(codeAt), " in ring 0"
			if user {
				at, ring = userVA, " in ring 3"
			}
			if user && p.ring0 || !user && p.ring3 {
				continue
			}
			a := asm.New(at)
			p.code(a)
			a.Ud2()
			b, err := a.Bytes()
			if err != nil {
				panic(err) // a program of the table is wrong
			}
			list = append(list, Program{Name: p.name + ring, User: user, Code: b, setup: commonSetup})
		}
	}
	return list
}

// The registers that programs find: RBX points to data of ring 3's, R12 to a page that can be written, R13 to one that can be read, R14
// to nothing, R15 is not canonical.
const dataVA = userVA + 0x2000

func commonSetup(m *machine) {
	for i := range m.st.GPR {
		if i != x86.RSP {
			m.st.GPR[i] = pattern(i) >> (i * 3)
		}
	}
	m.st.GPR[x86.RBX], m.st.GPR[x86.R12], m.st.GPR[x86.R13] = dataVA, testVA, testVA+0x1000
	m.st.GPR[x86.R14], m.st.GPR[x86.R15] = testVA+0x2000, 0x8000_1234_5678_9abc
	if m.st.RIP != userVA {
		m.st.GPR[x86.RSP] = stackAt - 0x100
	} else {
		m.st.GPR[x86.RSP] = userStack - 0x100
	}
	if m.get(testPT) == 0 { // once for a machine: tables are not changed behind a guest's back
		m.put(testPT, testPages|7)
		m.put(testPT+8, (testPages+0x1000)|5)
	}
	page := make([]byte, 0x1000)
	for i := range page {
		page[i] = byte(i*7 ^ i>>3)
	}
	for i := range uint64(3) {
		m.write(testPages+i<<12, page)
	}
	for i := range uint64(15) {
		m.write(userPages+(i+1)<<12, page)
	}
	m.write(stackAt-0x800, page[:0x800])
	for i := range m.st.FX.XMM {
		m.st.FX.XMM[i] = [2]uint64{pattern(i), pattern(i + 3)}
	}
}

var tablePrograms = []struct {
	name         string
	ring0, ring3 bool // only there
	code         func(a *asm.Asm)
}{
	{name: "pushes and pops", code: func(a *asm.Asm) {
		a.Raw(0x9c)                   // pushfq
		a.Raw(0x66, 0x50)             // push ax
		a.Raw(0x68, 1, 2, 3, 0x84)    // push imm32, sign-extended
		a.Raw(0x6a, 0xfe)             // push imm8
		a.Raw(0xff, 0x73, 0x08)       // push [rbx+8]
		a.Raw(0x8f, 0x43, 0x10)       // pop [rbx+16]
		a.Raw(0x8f, 0x04, 0x24)       // pop [rsp]
		a.Raw(0x54, 0x5c)             // push rsp; pop rsp
		a.Raw(0xc8, 0x10, 0, 0, 0xc9) // enter 16, 0; leave
	}},
	{name: "popf", code: func(a *asm.Asm) {
		a.Raw(0x68, 0xd7, 0x7e, 0x24, 0) // push: all flags but TF, IOPL, NT, VM
		a.Raw(0x9d, 0x9c)                // popfq; pushfq
	}},
	{name: "string instructions", code: func(a *asm.Asm) {
		a.Mov(8, asm.RSI, asm.RBX)
		a.Lea(8, asm.RDI, asm.At(asm.RBX, 0x800))
		a.MovI(asm.RCX, 37)
		a.Raw(0xf3, 0xa4) // rep movsb
		a.MovI(asm.RCX, 9)
		a.Raw(0xf3, 0x48, 0xab) // rep stosq
		a.MovI(asm.RCX, 50)
		a.Lea(8, asm.RSI, asm.At(asm.RBX, 0))
		a.Lea(8, asm.RDI, asm.At(asm.RBX, 0x800))
		a.Raw(0xf3, 0xa6) // repe cmpsb
		a.Raw(0xfd)
		a.MovI(asm.RCX, 20)
		a.Raw(0xf2, 0x66, 0xaf) // repne scasw
		a.Raw(0xac)             // lodsb
		a.Raw(0xfc)
		a.MovI(asm.RCX, 0)
		a.Raw(0xf3, 0xa5) // nothing
	}},
	{name: "string into a read-only page", code: func(a *asm.Asm) {
		a.Mov(8, asm.RSI, asm.RBX)
		a.Lea(8, asm.RDI, asm.At(asm.R12, 0xff0))
		a.MovI(asm.RCX, 0x20)
		a.Raw(0xf3, 0xa4)
	}},
	{name: "write to a read-only page", code: func(a *asm.Asm) { a.Store(4, asm.At(asm.R13, 8), asm.RAX) }},
	{name: "write across to a read-only page", code: func(a *asm.Asm) { a.Store(8, asm.At(asm.R12, 0xffb), asm.RAX) }},
	{name: "read of nothing", code: func(a *asm.Asm) { a.Load(2, asm.RAX, asm.At(asm.R14, 0x123)) }},
	{name: "locked write to nothing", code: func(a *asm.Asm) { a.Raw(0xf0); a.OpStore(asm.ADD, 4, asm.At(asm.R14, 0), asm.RAX) }},
	{name: "call to nothing", code: func(a *asm.Asm) { a.Raw(0x41, 0xff, 0xd6) }},
	{name: "compare and exchange", code: func(a *asm.Asm) {
		a.Load(8, asm.RAX, asm.At(asm.RBX, 0))
		a.Raw(0xf0, 0x48, 0x0f, 0xb1, 0x0b) // lock cmpxchg [rbx], rcx
		a.Raw(0xf0, 0x0f, 0xb1, 0x53, 0x08) // lock cmpxchg [rbx+8], edx: fails
		a.Raw(0x0f, 0xc7, 0x4b, 0x10)       // cmpxchg8b [rbx+16]
		a.Raw(0x48, 0x0f, 0xc7, 0x4b, 0x20) // cmpxchg16b [rbx+32]
	}},
	{name: "segment registers", code: func(a *asm.Asm) {
		a.MovI(asm.RAX, data3Sel)
		a.Raw(0x8e, 0xd8, 0x8e, 0xc0)             // mov ds, es
		a.Raw(0x8e, 0xe0)                         // mov fs: its base goes
		a.Raw(0x66, 0x8c, 0xd9)                   // mov cx, ds
		a.Raw(0x0f, 0x02, 0xd0)                   // lar edx, eax
		a.OpI(asm.AND, 4, asm.RDX, 0xf0ff00)      // the other bits are undefined
		a.Raw(0x0f, 0x03, 0xf0)                   // lsl esi, eax
		a.Raw(0x0f, 0x00, 0xe0)                   // verr ax
		a.Raw(0x31, 0xc0, 0x8e, 0xe8, 0x8c, 0xef) // null in gs; mov edi, gs
	}},
	{name: "conditions", code: func(a *asm.Asm) {
		a.OpI(asm.CMP, 8, asm.RAX, 0x1234)
		for c := byte(0); c < 16; c++ {
			a.Raw(0x0f, 0x90|c, 0x43, c)       // setcc [rbx+c]
			a.Raw(0x0f, 0x40|c, 0xd1)          // cmovcc edx, ecx
			a.OpI(asm.SUB, 4, asm.RCX, 0x3333) // other flags
		}
	}},
	{name: "sse2 integers", code: func(a *asm.Asm) {
		a.Raw(0x66, 0x0f, 0xfe, 0xc1)       // paddd xmm0, xmm1
		a.Raw(0x66, 0x0f, 0xf4, 0xd3)       // pmuludq xmm2, xmm3
		a.Raw(0x66, 0x0f, 0x70, 0xe5, 0x1b) // pshufd xmm4, xmm5, 0x1b
		a.Raw(0x66, 0x0f, 0x6f, 0x33)       // movdqa xmm6, [rbx]
		a.Raw(0x66, 0x0f, 0xd7, 0xc6)       // pmovmskb eax, xmm6
		a.Raw(0xf3, 0x0f, 0x7f, 0x7b, 0x01) // movdqu [rbx+1], xmm7
	}},
	{name: "sse2 doubles", code: func(a *asm.Asm) {
		a.Raw(0xf2, 0x48, 0x0f, 0x2a, 0xc1) // cvtsi2sd xmm0, rcx
		a.Raw(0xf2, 0x0f, 0x51, 0xc8)       // sqrtsd xmm1, xmm0
		a.Raw(0xf2, 0x0f, 0x5e, 0xc1)       // divsd xmm0, xmm1
		a.Raw(0x66, 0x0f, 0x2e, 0xc1)       // ucomisd xmm0, xmm1
		a.Raw(0xf2, 0x48, 0x0f, 0x2d, 0xc1) // cvtsd2si rax, xmm1
	}},
	{name: "x87", code: func(a *asm.Asm) {
		a.Raw(0xd9, 0xeb, 0xd9, 0xe8)       // fldpi; fld1
		a.Raw(0xde, 0xc1)                   // faddp
		a.Raw(0xd9, 0xfa)                   // fsqrt
		a.Raw(0xdf, 0x3b)                   // fistp qword [rbx]
		a.Raw(0xd9, 0xee, 0xdb, 0x7b, 0x10) // fldz; fstp tbyte [rbx+16]
		a.Raw(0x9b, 0xdf, 0xe0)             // fstsw ax
	}},
	{name: "code that changes itself", ring0: true, code: func(a *asm.Asm) {
		a.MovLabel(asm.RSI, "here")
		a.Raw(0xc6, 0x46, 0x01, 0x7b) // mov byte [rsi+1], 0x7b
		a.Jmp("here")
		a.Label("here")
		a.Raw(0xb0, 0x00) // mov al, imm
	}},
	{name: "ports", ring0: true, code: func(a *asm.Asm) {
		a.MovI(asm.RDX, aPort)
		a.Raw(0xec, 0xee, 0x66, 0xed, 0xef) // in al; out al; in ax; out eax
		a.Mov(8, asm.RDI, asm.RBX)
		a.MovI(asm.RCX, 3)
		a.Raw(0xf3, 0x6d) // rep insd
		a.Mov(8, asm.RSI, asm.RBX)
		a.MovI(asm.RCX, 4)
		a.Raw(0xf3, 0x66, 0x6f) // rep outsw
	}},
	{name: "control registers", ring0: true, code: func(a *asm.Asm) {
		a.FromCR(asm.RAX, 0)
		a.FromCR(asm.RCX, 4)
		a.ToCR(2, asm.RDX)
		a.FromCR(asm.RDI, 2)
		a.Raw(0x0f, 0x01, 0xe5)                         // smsw ebp
		a.Raw(0x0f, 0x06)                               // clts
		a.Raw(0x0f, 0x01, 0x03)                         // sgdt [rbx]
		a.Raw(0x0f, 0x01, 0x4b, 0x10, 0x0f, 0x00, 0xc8) // sidt [rbx+16]; str eax
	}},
	{name: "iretq to itself", ring0: true, code: func(a *asm.Asm) {
		a.Raw(0x8c, 0xd0, 0x50)       // mov eax, ss; push
		a.Push(asm.RBX)               // a stack that can be used
		a.Raw(0x68, 0x93, 0x0a, 0, 0) // flags
		a.Raw(0x8c, 0xc8, 0x50)       // mov eax, cs; push
		a.MovLabel(asm.RAX, "there")
		a.Push(asm.RAX)
		a.Iretq()
		a.Label("there")
		a.Push(asm.RSP)
	}},
	{name: "far jump", ring0: true, code: func(a *asm.Asm) {
		a.MovLabel(asm.RAX, "there")
		a.Store(8, asm.At(asm.RBX, 0), asm.RAX)
		a.Raw(0x66, 0xc7, 0x43, 0x08, code64Sel, 0) // mov word [rbx+8], cs
		a.Raw(0x48, 0xff, 0x2b)                     // jmp far [rbx]
		a.Label("there")
	}},
}
