package fuzz

import "gozen/hypervisor/x86/decode"

// excluded lists the operations that are not compared, and why.
var excluded = map[decode.Op]string{
	decode.SYSCALL:  "enters the host's kernel",
	decode.SYSENTER: "enters the host's kernel on Intel, #UD on AMD",
	decode.SYSRET:   "#GP on Intel, on AMD #UD outside the kernel's modes",
	decode.SYSEXIT:  "#GP on Intel, #UD on AMD in long mode",
	decode.CPUID:    "the guest's answer is its policy's",
	decode.RDTSC:    "time",
	decode.RDTSCP:   "time",
	decode.RDPMC:    "counters of the host",
	decode.RDPID:    "the host's processor number",
	decode.RDRAND:   "random",
	decode.RDSEED:   "random",
	decode.XGETBV:   "XSAVE is not advertised",
	decode.XSETBV:   "XSAVE is not advertised",
	decode.MOVBE:    "not advertised",
	decode.MONITOR:  "not advertised",
	decode.MWAIT:    "not advertised",
	decode.VMCALL:   "calls the host's own hypervisor",
	decode.VMMCALL:  "calls the host's own hypervisor",
	decode.SGDT:     "UMIP: the host's kernel emulates it",
	decode.SIDT:     "UMIP: the host's kernel emulates it",
	decode.SLDT:     "UMIP: the host's kernel emulates it",
	decode.STR:      "UMIP: the host's kernel emulates it",
	decode.SMSW:     "UMIP: the host's kernel emulates it",
	decode.LAR:      "reads the host's descriptor tables",
	decode.LSL:      "reads the host's descriptor tables",
	decode.VERR:     "reads the host's descriptor tables",
	decode.VERW:     "reads the host's descriptor tables",
	decode.LSS:      "far pointers of 8 bytes are Intel's alone; selectors are tested by MOV",
	decode.LFS:      "FS holds the Go runtime's thread pointer",
	decode.LGS:      "a selector in GS loses its base on Intel, keeps it on AMD",
	decode.RDFSBASE: "FS holds the Go runtime's thread pointer",
	decode.WRFSBASE: "FS holds the Go runtime's thread pointer",
	decode.INT1:     "hypervisors report its address in different ways",
	decode.RSM:      "only in system management mode",
	decode.GETSEC:   "not advertised",
	decode.INVPCID:  "#GP or #UD by the host's processor",
}

// exclude says why an encoding is left out, or "".
func exclude(e *decode.Encoding) string {
	if why := excluded[e.Op]; why != "" {
		return why
	}
	switch e.Op {
	case decode.JMPFI, decode.CALLFI:
		if e.W {
			return "far pointers of 8 bytes are Intel's alone"
		}
	case decode.PREFETCH:
		if e.Opcode == 0x0d && !e.Mem {
			return "reserved: #UD on AMD, no operation on Intel"
		}
	case decode.JCC, decode.JMP, decode.CALL, decode.RET, decode.JMPI, decode.CALLI:
		if e.Opsize {
			return "66 with a near branch: ignored by Intel, 16 bits on AMD"
		}
	case decode.MOVSXD:
		if e.Opsize && e.Mem {
			return "reads 4 bytes on AMD, 2 on Intel"
		}
	case decode.POPS:
		return "FS holds the Go runtime's thread pointer, and GS is not loaded alike by vendors"
	}
	return ""
}

// role says where in a block an encoding may stand.
type role uint8

const (
	anywhere role = iota
	last          // ends the block: always faults, or its result is not exact
	first         // needs registers or memory made up for it, so only at the start of a block
	alone         // both: what it stores has undefined parts, which are masked at the address known beforehand
	branch        // a near branch to a later instruction
)

// faulting lists the operations that always fault at privilege level 3.
var faulting = map[decode.Op]bool{
	decode.CLI: true, decode.STI: true, decode.HLT: true, decode.IN: true, decode.OUT: true, decode.INS: true, decode.OUTS: true,
	decode.RDMSR: true, decode.WRMSR: true, decode.MOVCR_R: true, decode.MOVR_CR: true, decode.MOVDR_R: true, decode.MOVR_DR: true,
	decode.LGDT: true, decode.LIDT: true, decode.LLDT: true, decode.LTR: true, decode.LMSW: true, decode.CLTS: true,
	decode.INVLPG: true, decode.INVD: true, decode.WBINVD: true, decode.SWAPGS: true, decode.STAC: true, decode.CLAC: true,
	decode.UD: true, decode.INT3: true, decode.INT: true,
}

func roleOf(e *decode.Encoding) role {
	switch e.Op {
	case decode.JCC, decode.JMP, decode.CALL, decode.JCXZ, decode.LOOP, decode.LOOPE, decode.LOOPNE:
		return branch
	case decode.JMPI, decode.CALLI, decode.RET, decode.RETF, decode.IRET, decode.JMPFI, decode.CALLFI, decode.FXRSTOR, decode.MOVS_RM, decode.POPF:
		return first
	case decode.SHLD, decode.SHRD:
		if e.Size == 2 && e.Form == decode.FormRM_RCL {
			return first
		}
	case decode.FXSAVE:
		return alone
	case decode.RCPPS, decode.RCPSS, decode.RSQRTPS, decode.RSQRTSS:
		return last
	case decode.X87:
		if e.Mem && e.Ext == 6 && (e.Opcode == 0xd9 || e.Opcode == 0xdd) { // FNSTENV, FNSAVE
			return alone
		}
		if e.Opcode == 0xd9 && (e.Fixed == 0xf0 || e.Fixed == 0xf9) { // F2XM1 and FYL2XP1 have a small domain
			return alone
		}
		if e.Opcode == 0xd9 && approximate(uint8(e.Fixed)) {
			return last
		}
	}
	if faulting[e.Op] {
		return last
	}
	return anywhere
}

// approximate reports whether D9 with a ModRM byte is an instruction whose result processors round differently: F2XM1, FYL2X, FPTAN,
// FPATAN, FYL2XP1, FSINCOS, FSIN, FCOS.
func approximate(modrm uint8) bool {
	switch modrm {
	case 0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xfb, 0xfe, 0xff:
		return true
	}
	return false
}
