// Package cpuid is what a guest's CPUID answers, by engine: a policy that advertises what the engine executes and
// nothing else. Xen's own leaves (0x40000000) belong to hypervisor/domain.
package cpuid

import "encoding/binary"

// Regs is the answer: eax, ebx, ecx, edx.
type Regs struct{ A, B, C, D uint32 }

// Processor says whose CPUID is asked for.
type Processor struct {
	APICID uint32
	VCPUs  int
	X2APIC bool
	// OSXSAVE and similar bits that follow control registers are for engines that have them.
}

// Feature bits (SDM 2A CPUID; APM 3 E.3-E.4).
const (
	D1FPU     = 1 << 0
	D1DE      = 1 << 2
	D1PSE     = 1 << 3
	D1TSC     = 1 << 4
	D1MSR     = 1 << 5
	D1PAE     = 1 << 6
	D1MCE     = 1 << 7
	D1CX8     = 1 << 8
	D1APIC    = 1 << 9
	D1SEP     = 1 << 11
	D1MTRR    = 1 << 12
	D1PGE     = 1 << 13
	D1MCA     = 1 << 14
	D1CMOV    = 1 << 15
	D1PAT     = 1 << 16
	D1PSE36   = 1 << 17
	D1CLFLUSH = 1 << 19
	D1MMX     = 1 << 23
	D1FXSR    = 1 << 24
	D1SSE     = 1 << 25
	D1SSE2    = 1 << 26
	D1HTT     = 1 << 28

	C1SSE3       = 1 << 0
	C1SSSE3      = 1 << 9
	C1CX16       = 1 << 13
	C1PCID       = 1 << 17
	C1SSE41      = 1 << 19
	C1SSE42      = 1 << 20
	C1X2APIC     = 1 << 21
	C1POPCNT     = 1 << 23
	C1Deadline   = 1 << 24
	C1RDRAND     = 1 << 30
	C1Hypervisor = 1 << 31

	B7FSGSBASE   = 1 << 0
	B7SMEP       = 1 << 7
	B7ERMS       = 1 << 9
	B7INVPCID    = 1 << 10
	B7RDSEED     = 1 << 18
	B7SMAP       = 1 << 20
	B7CLFLUSHOPT = 1 << 23
	C7UMIP       = 1 << 2
	C7RDPID      = 1 << 22
	D7FSRM       = 1 << 4

	XC1LAHF     = 1 << 0
	XC1CR8      = 1 << 4
	XC1Prefetch = 1 << 8
	XD1SYSCALL  = 1 << 11
	XD1NX       = 1 << 20
	XD1Page1GB  = 1 << 26
	XD1RDTSCP   = 1 << 27
	XD1LM       = 1 << 29

	maxBasic    = 7
	maxExtended = 0x80000008
	vendor      = "AuthenticAMD"
	brand       = "gozen software CPU"
	signature   = 0x60fb1 // family 15, model 107, stepping 1

	softD1 = D1FPU | D1DE | D1PSE | D1TSC | D1MSR | D1PAE | D1MCE | D1CX8 | D1APIC | D1SEP | D1MTRR | D1PGE | D1MCA | D1CMOV |
		D1PAT | D1PSE36 | D1CLFLUSH | D1MMX | D1FXSR | D1SSE | D1SSE2
	softC1 = C1SSE3 | C1SSSE3 | C1CX16 | C1PCID | C1SSE41 | C1SSE42 | C1X2APIC | C1POPCNT | C1Deadline | C1RDRAND | C1Hypervisor
)

// Soft gives a leaf of the software CPU. It is an AMD processor in its answers, so that kernels take SYSCALL from 32-bit code and no
// page-table isolation.
func Soft(leaf, sub uint32, p Processor) Regs {
	switch leaf {
	case 0, 0x80000000:
		r := Regs{A: maxBasic}
		if leaf != 0 {
			r.A = maxExtended
		}
		r.B, r.D, r.C = word(vendor, 0), word(vendor, 4), word(vendor, 8)
		return r
	case 1:
		r := Regs{A: signature, B: p.APICID<<24 | uint32(p.VCPUs&0xff)<<16 | 8<<8, C: softC1, D: softD1}
		if p.VCPUs > 1 {
			r.D |= D1HTT
		}
		return r
	case 7:
		if sub == 0 {
			return Regs{B: B7FSGSBASE | B7SMEP | B7ERMS | B7INVPCID | B7RDSEED | B7SMAP | B7CLFLUSHOPT, C: C7UMIP | C7RDPID, D: D7FSRM}
		}
	case 0x80000001:
		const shared = softD1 &^ (D1SEP | 1<<18 | D1CLFLUSH | D1SSE | D1SSE2 | D1HTT) & 0x0183f3ff
		r := Regs{A: signature, C: XC1LAHF | XC1CR8 | XC1Prefetch, D: shared | XD1SYSCALL | XD1NX | XD1Page1GB | XD1RDTSCP | XD1LM}
		if p.VCPUs > 1 {
			r.C |= 1 << 1 // CMP_LEGACY: the logical processors are cores
		}
		return r
	case 0x80000002, 0x80000003, 0x80000004:
		var b [48]byte
		copy(b[:], brand)
		o := (leaf - 0x80000002) * 16
		w := func(i uint32) uint32 { return binary.LittleEndian.Uint32(b[o+i:]) }
		return Regs{w(0), w(4), w(8), w(12)}
	case 0x80000005: // L1: 64 KiB, 2-way, 64-byte lines; TLBs of 1,024 entries shown as 64
		return Regs{0xff20ff20, 0xff20ff20, 0x40020140, 0x40020140}
	case 0x80000006:
		return Regs{0, 0x42004200, 0x02008140, 0}
	case 0x80000007:
		return Regs{D: 1 << 8} // invariant TSC
	case 0x80000008:
		return Regs{A: 46 | 48<<8, C: uint32(max(p.VCPUs-1, 0) & 0xff)}
	}
	return Regs{}
}

func word(s string, i int) uint32 {
	return uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16 | uint32(s[i+3])<<24
}
