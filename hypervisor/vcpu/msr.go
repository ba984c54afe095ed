package vcpu

import (
	"gozen/hypervisor/apic"
	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// keptMSRs are MSRs that only remember what was written.
type keptMSRs struct {
	miscEnable, tscAdjust, mcgStatus, debugCtl, mtrrDef uint64
	mtrrVar                                             [16]uint64
	mtrrFix                                             [11]uint64
	hwcr                                                uint64
}

func (k *keptMSRs) reset() { k.miscEnable, k.mtrrDef = 1, 0xc06 }

const (
	mtrrVars    = 8
	msrHyper    = 0x40000000
	msrDebugCtl = 0x1d9
	msrHWCR     = 0xc0010015
)

// gpFault is the answer to an MSR that does not exist.
var gpFault = x86.Fault{Vector: x86.VectorGP, HasError: true}

// readOnly lists MSRs that read as a constant and ignore writes: identification and machine check without banks.
func readOnly(n uint32) (v uint64, ok bool) {
	switch n {
	case x86.MSRPlatformID, x86.MSRBiosSignID, x86.MSRMCGCap, 0x33, 0x34, 0x3a, 0xcd, 0xce, 0x140, 0x1a2, 0x198, 0x199,
		0x606, 0x611, 0x639, 0x641, 0x619, 0xc001001f, 0xc0010055, 0xc0010058, 0xc0010062, 0xc0010064, 0xc001102a,
		0xc0010140, 0xc0010141, 0xc0010112, 0xc0010113, 0xc0011020, 0xc0011021, 0xc0011022, 0xc0011023, 0xc0011029, 0xc0010010:
		return 0, true
	case x86.MSRMTRRCap:
		return mtrrVars | 1<<8 | 1<<10, true
	}
	if n >= 0xc0010000 && n <= 0xc0010007 {
		return 0, true
	}
	return 0, false
}

// kept gives the place of an MSR that remembers.
func (l *Loop) kept(n uint32) *uint64 {
	k := &l.msrs
	switch {
	case n == x86.MSRMiscEnable:
		return &k.miscEnable
	case n == x86.MSRTSCAdjust:
		return &k.tscAdjust
	case n == x86.MSRMCGStatus:
		return &k.mcgStatus
	case n == msrDebugCtl:
		return &k.debugCtl
	case n == msrHWCR:
		return &k.hwcr
	case n == x86.MSRMTRRDefType:
		return &k.mtrrDef
	case n >= x86.MSRMTRRPhysBase && n < x86.MSRMTRRPhysBase+2*mtrrVars:
		return &k.mtrrVar[n-x86.MSRMTRRPhysBase]
	case n == x86.MSRMTRRFix64K:
		return &k.mtrrFix[0]
	case n == 0x258 || n == 0x259:
		return &k.mtrrFix[n-0x257]
	case n >= 0x268 && n <= 0x26f:
		return &k.mtrrFix[n-0x268+3]
	}
	return nil
}

func (l *Loop) rdmsr(e *engine.Exit) {
	l.Counts.MSRs.Add(e.MSR, false)
	v, ok := l.readMSR(e.MSR)
	if !ok {
		l.Eng.InjectFault(gpFault)
		return
	}
	e.Data = v
}

func (l *Loop) readMSR(n uint32) (v uint64, ok bool) {
	if n >= x86.MSRX2APIC && n < x86.MSRX2APIC+0x100 {
		if !l.APIC.X2() {
			return 0, false
		}
		return l.APIC.Read(n-x86.MSRX2APIC, l.tsc())
	}
	if p := l.kept(n); p != nil {
		return *p, true
	}
	if v, ok := readOnly(n); ok {
		return v, true
	}
	switch n {
	case x86.MSRAPICBase:
		return l.APIC.Base(), true
	case x86.MSRTSCDeadline:
		return l.APIC.TSCDeadline(), true
	}
	return 0, false
}

func (l *Loop) wrmsr(e *engine.Exit) {
	l.Counts.MSRs.Add(e.MSR, true)
	if !l.writeMSR(e.MSR, e.Data) {
		l.Eng.InjectFault(gpFault)
	}
}

func (l *Loop) writeMSR(n uint32, v uint64) bool {
	if n >= x86.MSRX2APIC && n < x86.MSRX2APIC+0x100 {
		if !l.APIC.X2() || !l.APIC.Write(n-x86.MSRX2APIC, v, l.tsc()) {
			return false
		}
		l.syncTPR(n - x86.MSRX2APIC)
		return true
	}
	if p := l.kept(n); p != nil {
		*p = v
		return true
	}
	switch n {
	case x86.MSRAPICBase:
		return l.APIC.SetBase(v)
	case x86.MSRTSCDeadline:
		l.APIC.SetTSCDeadline(v)
		return true
	case msrHyper:
		return l.hypercallPage(v)
	case x86.MSRBiosSignID:
		return true
	}
	_, ok := readOnly(n)
	return ok && n != x86.MSRMTRRCap
}

// hypercallPage writes the hypercall page where the guest wants it (Xen arch-x86/cpuid.h): the low 12 bits are the page's index.
func (l *Loop) hypercallPage(v uint64) bool {
	if v&0xfff != 0 || l.pv.VCPU != nil { // a PV guest's page is the loader's
		return false
	}
	if l.Dom.Memory.Write(guestmem.GPA(v), l.plat.HypercallPage()[:]) != nil {
		return false
	}
	l.Dom.Latch(l.Eng.Mode().Long)
	return true
}

// X2APIC tells whether x2APIC is on, for CPUID.
func (l *Loop) X2APIC() bool { return l.APIC.Base()&apic.BaseX2APIC != 0 }
