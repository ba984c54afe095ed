package kvm

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"

	"gozen/hypervisor/engine/enginetest"
	"gozen/hypervisor/x86"
)

// processor names the host's processor, as the lists below need it.
func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	return field(string(b), "model name")
}

// exceptions gives the cases that this host cannot pass, with the reason. Each has been looked into: the software CPU passes them, and the
// engine hands on what KVM says.
func exceptions(s *System) map[string]string {
	all := maps.Clone(everyKVM)
	if s.Name == "kvm-pvm" {
		maps.Copy(all, pvm)
		for _, name := range enginetest.Names("legacy") {
			all[name] = no32
		}
		delete(all, "legacy/pae mov cr0 with bad pointers") // refuses paging of any 32-bit kind
	}
	if s.Name == "kvm-amd" {
		maps.Copy(all, amd)
	}
	if strings.HasPrefix(processor(), "QEMU TCG CPU") {
		maps.Copy(all, qemu)
	}
	if onBochs() {
		maps.Copy(all, bochs)
	}
	return all
}

// everyKVM: KVM emulates string I/O on all processors.
var everyKVM = map[string]string{
	"exit/ins to a missing page": "KVM's emulator forgets the progress of a REP INS whose memory faults in the middle",
}

// amd: APM 2 6.1.2, SYSENTER and SYSEXIT are not there in long mode, and their MSRs are 32 bits wide.
var amd = map[string]string{
	"state/sysenter msrs in 64 bits": "AMD: 32 bits",
	"mode/sysenter and sysexit":      "AMD: not in long mode",
	// APM 2 15.25.10: under nested paging, page-directory pointers are not loaded by MOV to CR3 but read by the walk.
	"legacy/pae mov cr3 to bad pointers": "AMD: not checked under nested paging",
}

// onBochs: its processors have the names of real ones, its BIOS has not.
func onBochs() bool {
	b, _ := os.ReadFile("/sys/class/dmi/id/bios_version")
	return strings.HasPrefix(string(b), "Bochs")
}

// bochs is for hosts on Bochs 2.7, with KVM on its VT-x.
var bochs = map[string]string{
	"irq/nmi with interrupts off wakes hlt": "Bochs 2.7: the NMI does not come behind an exit for HLT; it does on SVM",
	"fault/db single step":                  "Bochs 2.7: VM entry with TF set traps before the first instruction",
	"fault/db single step over rep":         "Bochs 2.7: VM entry with TF set traps before the first instruction",
}

// Reasons on kvm_pvm.
const (
	noInsn   = "the host interprets ring 0, and its interpreter lacks the instruction"
	batch    = "the host interprets ring 0 in runs of 512 instructions, and looks for events between them"
	noInt    = "INT n in ring 3 is #UD on this host"
	simple   = "the host's interpreter of ring 0 does it more simply than a processor"
	no32     = "the host runs 64-bit page tables only"
	nativeR3 = "ring 3 runs natively under the host's own control registers"
)

// pvm is for software KVM hosts with the module kvm_pvm: guest ring 3 runs natively, guest ring 0 is interpreted.
var pvm = map[string]string{
	"state/xmm by code":                                   noInsn,
	"state/x87 by code":                                   noInsn,
	"exit/mode":                                           nativeR3 + ": IOPL 3 gives no access to ports",
	"irq/gate not present":                                simple + ": no EXT bit in error codes",
	"irq/vector beyond the table":                         simple + ": no EXT bit in error codes",
	"fault/bp int3":                                       noInsn,
	"fault/db icebp":                                      noInsn,
	"fault/int 0x80 from ring 3":                          noInt,
	"fault/gp int 0x20 from ring 3":                       noInt,
	"fault/gp int 0x21 from ring 3":                       noInt,
	"fault/gp int 1 from ring 3":                          noInt,
	"fault/gp rdtsc under tsd":                            nativeR3,
	"fault/nm x87 under ts":                               noInsn,
	"fault/nm sse under ts":                               noInsn,
	"fault/nm wait under ts and mp":                       noInsn,
	"fault/nm x87 under em":                               noInsn,
	"fault/ud sse under em":                               noInsn,
	"fault/ud sse without osfxsr":                         noInsn,
	"fault/mf division by zero":                           noInsn,
	"fault/xm division by zero":                           noInsn,
	"fault/ts tss too short":                              noInsn,
	"fault/gp int with a bad gate":                        noInsn,
	"fault/benign then gp":                                simple + ": any two faults are a double fault",
	"fault/db single step over rep":                       simple + ": a repeated instruction is one step",
	"fault/db breakpoint on write":                        simple + ": no breakpoints on data",
	"fault/db breakpoint on access":                       simple + ": no breakpoints on data",
	"paging/rights 4k fetch":                              simple + ": SMAP refuses fetches, too",
	"paging/rights 2m fetch":                              simple + ": SMAP refuses fetches, too",
	"paging/write across pages writes nothing on a fault": simple + ": the first page is written",
	"mode/protected mode with 32-bit paging":              no32,
	"mode/protected mode with pae":                        no32,
	"mode/compatibility mode":                             noInt,
	"mode/syscall and sysret":                             "SYSCALL in ring 3 before the guest has switched rings by itself stays in ring 3",
	"mode/sysenter and sysexit":                           "SYSENTER in ring 3 is #UD on this host",
	"mode/iretq to ring 3 and back":                       simple + ": IRET leaves the data segments of ring 0",
	"mode/far return to ring 3":                           noInsn,
}

// pvmTiming: what comes too late to be seen, unless the host happens to look.
var pvmTiming = map[string]string{
	"irq/window":                 batch,
	"irq/window behind sti":      batch,
	"irq/window behind mov ss":   batch,
	"irq/window at once":         batch,
	"irq/handler returns":        batch,
	"irq/nmi blocked until iret": batch,
	// Older versions of the host's module.
	"fault/gp wrmsr not canonical": simple + ": LSTAR takes any value",
}

var pvmProgramsSometimes = map[string]string{"gp wrmsr not canonical": simple + ": LSTAR takes any value, with older versions of the host's module"}

// Reasons on QEMU 7.2's processor.
const (
	times16   = "QEMU 7.2: an error code that names a vector is vector*16+2"
	canonical = "QEMU 7.2: no check for canonical addresses"
	noBreak   = "QEMU 7.2: VMRUN does not arm the guest's breakpoints"
	segments  = "QEMU 7.2: limits and types of segments are not checked"
	rsvdOnly  = "QEMU 7.2: a page fault for a reserved bit does not set P in the error code"
)

// qemu is for hosts on QEMU 7.2's own processor ("QEMU TCG CPU"), with KVM on its SVM.
var qemu = map[string]string{
	"irq/gate not present":                             times16,
	"irq/vector beyond the table":                      times16,
	"fault/db icebp":                                   "QEMU 7.2: ICEBP is #UD",
	"fault/gp int 0x20 from ring 3":                    times16,
	"fault/gp int 0x21 from ring 3":                    times16,
	"fault/gp int 1 from ring 3":                       times16,
	"fault/gp int with a bad gate":                     times16,
	"fault/benign then gp":                             times16,
	"fault/gp cr3 reserved bit":                        "QEMU 7.2: MOV CR3 takes reserved bits, which the next VMRUN refuses",
	"fault/gp wrmsr not canonical":                     canonical,
	"fault/ss stack not canonical":                     canonical + " of the stack: #GP",
	"fault/gp jump not canonical":                      canonical + " of a jump's target: the fault comes there",
	"fault/gp wrfsbase not canonical":                  canonical,
	"fault/xm division by zero":                        "QEMU 7.2: SSE exceptions are not raised",
	"fault/ac misaligned in ring 3":                    "QEMU 7.2: misaligned accesses are not checked",
	"fault/db breakpoint on code":                      noBreak,
	"fault/db breakpoint on write":                     noBreak,
	"fault/db breakpoint on access":                    noBreak,
	"fault/rf ends a code breakpoint":                  noBreak,
	"paging/reserved address bit":                      rsvdOnly,
	"paging/reserved address bit in a table entry":     rsvdOnly,
	"paging/nx without nxe":                            rsvdOnly,
	"paging/reserved bit of a 2m page":                 rsvdOnly,
	"paging/reserved bit of a 1g page":                 rsvdOnly,
	"paging/ps in pml4":                                rsvdOnly,
	"legacy/32-bit reserved bit of a 4m page":          rsvdOnly,
	"legacy/pae reserved address bit":                  rsvdOnly,
	"legacy/pae reserved address bit in a table entry": rsvdOnly,
	"legacy/pae reserved bit 52":                       rsvdOnly,
	"legacy/pae reserved bit 62 in a table entry":      rsvdOnly,
	"legacy/pae nx without nxe":                        rsvdOnly,
	"legacy/pae reserved bit of a 2m page":             rsvdOnly,
	"legacy/pae toggling pge flushes global pages":     "QEMU 7.2: the walk sets the accessed bit of a page-directory pointer, which KVM refuses then",
	"legacy/32-bit beyond the limit":                   segments,
	"legacy/32-bit across the limit":                   segments,
	"legacy/32-bit stack segment beyond the limit":     segments,
	"legacy/32-bit write to read-only data":            segments,
	"legacy/32-bit write to code":                      segments,
	"legacy/32-bit read of execute-only code":          segments,
	"legacy/32-bit null data segment":                  segments,
	"legacy/32-bit expand-down below":                  segments,
	"legacy/32-bit expand-down of 16 bits above":       segments,
	"legacy/32-bit jump beyond the limit":              segments,
	"legacy/32-bit interrupt gate of 16 bits":          "QEMU 7.2: the offset has 32 bits",
	"mode/syscall and sysret":                          "QEMU 7.2: SYSCALL clears the arithmetic flags",
}

// differences gives the programs of enginetest.Compare that end differently on this host and on the software CPU.
func differences(s *System) map[string]string {
	all := map[string]string{}
	if s.Name == "kvm-pvm" {
		maps.Copy(all, pvmPrograms)
	}
	if strings.HasPrefix(processor(), "QEMU TCG CPU") {
		maps.Copy(all, qemuPrograms)
	}
	if onBochs() {
		maps.Copy(all, map[string]string{"ac misaligned in ring 3": noAC})
	}
	return all
}

// noAC is the one that is the software CPU's fault (QUIRKS.md).
const noAC = "the software CPU does not check alignment"

var pvmPrograms = map[string]string{
	"int 0x80 from ring 3":                       noInt,
	"gp int 0x20 from ring 3":                    noInt,
	"gp int 0x21 from ring 3":                    noInt,
	"gp int 1 from ring 3":                       noInt,
	"gp rdtsc under tsd":                         nativeR3,
	"ac misaligned in ring 3":                    noAC,
	"pushes and pops in ring 3":                  nativeR3 + ": IF reads as set",
	"popf in ring 0":                             simple + ": POPF and events leave AC clear",
	"popf in ring 3":                             nativeR3 + ": IF reads as set, and events clear AC",
	"segment registers in ring 3":                nativeR3 + ": LAR, LSL and VERR see its descriptors",
	"write across to a read-only page in ring 0": simple + ": the first page is written",
}

// pvmKnown: an access of ring 0, or of 32-bit code, which the host interprets, too, that crosses into the read-only page has written to the first one.
func pvmKnown(p *enginetest.Program, differences []string) (string, bool) {
	for _, d := range differences {
		if p.User && !strings.Contains(p.Name, "32-bit") || !strings.HasPrefix(d, "test pages at 0x200ff8:") {
			return "", false
		}
	}
	return "a write across pages writes to the first before it faults", true
}

// qemuTiming: an interrupt of the host inside the shadow of STI or MOV SS.
var qemuTiming = map[string]string{
	"irq/window behind sti":    "QEMU 7.2: the window opens inside the shadow",
	"irq/window behind mov ss": "QEMU 7.2: the window opens inside the shadow",
}

var qemuPrograms = map[string]string{
	"db icebp":                       "QEMU 7.2: ICEBP is #UD",
	"gp int 0x20 from ring 3":        times16,
	"gp int 0x21 from ring 3":        times16,
	"gp int 1 from ring 3":           times16,
	"gp wrmsr not canonical":         canonical,
	"ss stack not canonical":         canonical + " of the stack: #GP",
	"gp jump not canonical":          canonical + " of a jump's target: the fault comes there",
	"gp wrfsbase not canonical":      canonical,
	"mf division by zero":            "QEMU 7.2: an x87 division that raises an unmasked exception has its result all the same",
	"xm division by zero":            "QEMU 7.2: SSE exceptions are not raised",
	"ac misaligned in ring 3":        noAC,
	"compare and exchange in ring 0": "QEMU 7.2: CMPXCHG8B leaves garbage in the flags",
	"compare and exchange in ring 3": "QEMU 7.2: CMPXCHG8B leaves garbage in the flags",
}

// qemuProgramsTiming: whether the emulator has one thread or several for its processors decides.
var qemuProgramsTiming = map[string]string{
	"locked write to nothing in ring 0": lockedRead,
	"locked write to nothing in ring 3": lockedRead,
}

// What random programs meet on QEMU 7.2. The processor of a host with kvm_pvm, which runs the same programs of ring 3 natively, agrees with
// the software CPU.
const (
	lockedRead = "QEMU 7.2: a locked instruction that may not write faults as a read"
	wrongFlags = "QEMU 7.2: arithmetic flags after ADC and SBB of 16 bits, or at a fault"
)

// word takes the two values out of a difference in the frame of a handler.
var word = regexp.MustCompile(`^stack at 0x[0-9a-f]+: ([0-9a-f ]{23}), ([0-9a-f ]{23})$`)

// qemuKnown accepts differences in arithmetic flags and in bit W of error codes, and nothing else.
func qemuKnown(p *enginetest.Program, differences []string) (string, bool) {
	why := wrongFlags
	for _, d := range differences {
		var x, y uint64
		if n, _ := fmt.Sscanf(d, "rflags: 0x%x, 0x%x", &x, &y); n == 2 && (x^y)&^x86.FlagsArith == 0 {
			continue
		}
		m := word.FindStringSubmatch(d)
		if m == nil {
			return "", false
		}
		switch diff := littleEndian(m[1]) ^ littleEndian(m[2]); {
		case diff == x86.PFWrite:
			why = lockedRead
		case diff&^x86.FlagsArith != 0:
			return "", false
		}
	}
	return why, true
}

func littleEndian(s string) (v uint64) {
	for i, f := range strings.Fields(s) {
		b, _ := strconv.ParseUint(f, 16, 8)
		v |= b << (8 * i)
	}
	return v
}
