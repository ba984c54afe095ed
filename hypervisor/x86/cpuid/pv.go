package cpuid

// PV takes out of a leaf what a PV guest cannot have: its kernel runs in ring 3 and its page tables are the hypervisor's business (Xen
// arch/x86/cpu-policy.c, the features without a PV letter).
func PV(leaf, sub uint32, r Regs) Regs {
	const (
		noD1  = 1<<1 | D1PSE | D1MCE | D1MCA | D1MTRR | D1PGE | D1PSE36 | D1SEP
		noC1  = 1<<2 | 1<<3 | 1<<5 | 1<<7 | 1<<8 | 1<<14 | 1<<15 | C1PCID | 1<<18 | C1X2APIC | C1Deadline | 1<<26 | 1<<27 | 1<<28
		noB7  = B7FSGSBASE | B7SMEP | B7INVPCID | B7SMAP
		noXD1 = XD1Page1GB
		noXC1 = 1<<2 | XC1CR8
	)
	switch leaf {
	case 1:
		r.D &^= noD1
		r.C = r.C&^noC1 | C1Hypervisor
	case 5, 0xd:
		return Regs{}
	case 7:
		if sub == 0 {
			r.B &^= noB7
			r.C &^= C7UMIP | 1<<3 | 1<<16
		}
	case 0x80000001:
		r.D &^= noXD1 | D1PSE | D1PGE | D1PSE36 | D1MTRR | D1MCE | D1MCA
		r.C &^= noXC1
	}
	return r
}
