package testbed

import (
	"fmt"
	"strconv"
)

// image is what an emulator boots and where its serial ports go, all paths.
type image struct {
	dir                    string
	kernel, initrd, params string
	console, stream        string
}

// port gives the device of the emulated host that carries the stream.
func (s Spec) port() string {
	if s.Kind == VHE {
		return "/dev/ttyS0" // the console is a PL011, /dev/ttyAMA0
	}
	return "/dev/ttyS1"
}

// params gives the parameters of the host kernel. A panic restarts the machine, which ends the emulator.
func (s Spec) params() string {
	p := "console=ttyS0,115200"
	if s.Kind == VHE {
		p = "console=ttyAMA0"
	}
	p += " panic=-1"
	if s.Kind == VTX {
		// Bochs counts an instruction a tick, whatever CPUID says of the frequency. Self-tests would take a third of the boot.
		p += " tsc=reliable tsc_early_khz=50000 cryptomgr.notests"
	}
	if s.Kind == SVM && s.CPUs > 1 {
		p += " maxcpus=1" // the others come once the kernel has patched its code for KVM: see anchor
	}
	if s.Params != "" {
		p += " " + s.Params
	}
	return p
}

// qemu gives the command line for SVM and VHE; x86 is the program for SVM.
func (s Spec) qemu(x86 string, i image) []string {
	accel := "tcg"
	if s.ICount {
		accel += ",thread=single"
	}
	var c []string
	switch s.Kind {
	case VHE:
		c = []string{"qemu-system-aarch64", "-machine", "virt,virtualization=on,gic-version=3", "-cpu", "max,pauth-impdef=on"}
	default:
		c = []string{x86, "-machine", "pc", "-cpu", "max,svm=on,npt=on"}
	}
	c = append(c, "-accel", accel, "-smp", strconv.Itoa(s.CPUs), "-m", strconv.Itoa(s.MemMiB),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", i.kernel, "-initrd", i.initrd, "-append", i.params,
		"-chardev", "file,id=console,path="+i.console, "-serial", "chardev:console",
		"-chardev", "file,id=stream,path="+i.stream)
	if s.Kind == VHE {
		c = append(c, "-device", "pci-serial,chardev=stream")
	} else {
		c = append(c, "-serial", "chardev:stream")
	}
	if s.ICount {
		// Nothing of this machine's clock or randomness may show.
		c = append(c, "-icount", "shift=0,sleep=off", "-rtc", "base=2026-01-01T00:00:00,clock=vm", "-seed", "1")
	}
	return append(c, s.EmulatorArgs...)
}

// bind gives what the emulator is bound to: with SVM, one processor of this machine for all its threads. QEMU 7.2 handles interrupts wrongly
// around VMRUN:
//
//   - It changes the pending interrupts of a processor without its lock, while the thread of the timers changes them, too: the host loses its
//     timer interrupt, and waits for ever. Each change is one instruction, so that threads of one processor cannot meet in it.
//   - When VMRUN injects an interrupt, its vector stays noted as an exception that is not delivered yet (exception_index, helper_vmrun). If another
//     thread asks the processor to stop before it next leaves the guest, the guest gets the interrupt a second time, wherever it is, also
//     with its interrupts off: it deadlocks on its own spinlock. With counted instructions that is at every timer. The copy of QEMU that mended
//     makes does not do that; one of an unknown build does, the less, the fewer of its threads run at once.
func (s Spec) bind() func() (undo func()) {
	if s.Kind == SVM && !s.ICount {
		return oneProcessor
	}
	return nil
}

// describe says in a line what runs.
func (s Spec) describe() string {
	d := fmt.Sprintf("%s: host kernel %s, %d CPU, %d MiB", s.Kind, s.HostKernel, s.CPUs, s.MemMiB)
	if s.ICount {
		d += ", instructions counted"
	}
	return d
}
