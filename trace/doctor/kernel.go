package doctor

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"gozen/trace/bpf"
)

// probed is a function of the kernel that every kernel has, and that is hardly ever called.
const probed = "vfs_fsync"

// nothing is a program that does nothing.
func nothing(t ebpf.ProgramType) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{Name: "nothing", Type: t, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}}
}

// try makes a check of what happened.
func try(name, good string, f func() error) Check {
	err := f()
	switch {
	case err == nil:
		return Check{Name: name, State: OK, Detail: good}
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOENT), errors.Is(err, os.ErrNotExist):
		return Check{Name: name, State: Missing, Detail: short(err)}
	}
	return Check{Name: name, State: Refused, Detail: short(err)}
}

// short takes the first line of an error, without advice: Check.Fix has it, and that about memory belongs to old kernels.
func short(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	for _, advice := range []string{" (MEMLOCK may be too low", " (root: ", " (run as root"} {
		s, _, _ = strings.Cut(s, advice)
	}
	return s
}

func programs() Check {
	c := try("eBPF", "programs and maps can be made", func() error {
		p, err := ebpf.NewProgram(nothing(ebpf.TracePoint))
		if err != nil {
			return err
		}
		return p.Close()
	})
	if b, err := os.ReadFile("/proc/sys/kernel/unprivileged_bpf_disabled"); err == nil {
		c.Detail += "; kernel.unprivileged_bpf_disabled=" + strings.TrimSpace(string(b))
	}
	if c.State == Refused {
		c.Fix = "it takes root, or CAP_BPF and CAP_PERFMON"
	}
	return c
}

func btf() Check {
	const path = "/sys/kernel/btf/vmlinux"
	st, err := os.Stat(path)
	if err != nil {
		return Check{Name: "BTF", State: Missing, Detail: "no " + path + ": fentry needs it, perfctl trace does not", Fix: "a kernel with CONFIG_DEBUG_INFO_BTF"}
	}
	return Check{Name: "BTF", State: OK, Detail: fmt.Sprintf("%s, %d KiB", path, st.Size()>>10)}
}

func rawTracepoint() Check {
	return try("raw tracepoint", "sched_switch", func() error {
		p, err := ebpf.NewProgram(nothing(ebpf.RawTracepoint))
		if err != nil {
			return err
		}
		defer p.Close()
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_switch", Program: p})
		if err != nil {
			return err
		}
		return l.Close()
	})
}

func fentry() Check {
	return try("fentry", probed, func() error {
		s := nothing(ebpf.Tracing)
		s.AttachType, s.AttachTo = ebpf.AttachTraceFEntry, probed
		p, err := ebpf.NewProgram(s)
		if err != nil {
			return err
		}
		defer p.Close()
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return err
		}
		return l.Close()
	})
}

func kprobe() Check {
	// Without the perf event source the library would make a probe in tracefs, which is the whole host's.
	if _, err := os.Stat("/sys/bus/event_source/devices/kprobe"); err != nil {
		return Check{Name: "kprobe", State: Missing, Detail: "this kernel has no probes of functions (CONFIG_KPROBE_EVENTS); perfctl trace needs none"}
	}
	return try("kprobe", probed, func() error {
		p, err := ebpf.NewProgram(nothing(ebpf.Kprobe))
		if err != nil {
			return err
		}
		defer p.Close()
		l, err := link.Kprobe(probed, p, nil)
		if err != nil {
			return err
		}
		return l.Close()
	})
}

// perfEvent attaches to a clock that samples.
func perfEvent() Check {
	c := try("perf_event", "the software clock takes programs", func() error {
		p, err := ebpf.NewProgram(nothing(ebpf.PerfEvent))
		if err != nil {
			return err
		}
		defer p.Close()
		fd, err := unix.PerfEventOpen(&unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Size: unix.PERF_ATTR_SIZE_VER1, Sample: 1e9},
			-1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, p.FD())
	})
	if b, err := os.ReadFile("/proc/sys/kernel/perf_event_paranoid"); err == nil {
		c.Detail += "; kernel.perf_event_paranoid=" + strings.TrimSpace(string(b))
	}
	return c
}

// counters looks for the processor's own.
func counters() Check {
	c := try("performance counters", "cycles are counted", func() error {
		fd, err := unix.PerfEventOpen(&unix.PerfEventAttr{Type: unix.PERF_TYPE_HARDWARE, Config: unix.PERF_COUNT_HW_CPU_CYCLES, Size: unix.PERF_ATTR_SIZE_VER1}, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	})
	if c.State == Missing {
		c.Detail = "none of the processor's (a virtual machine without a PMU?): " + c.Detail
	}
	return c
}

func device(b bpf.Backend) Check {
	switch {
	case b.Name == "none":
		return Check{Name: "/dev/kvm", State: Missing, Detail: "there is none: domains run on the built-in CPU, of which the kernel tells only when its threads run"}
	case !b.Hardware:
		return Check{Name: "/dev/kvm", State: OK, Detail: b.Name + ": a software KVM; no VT-x or SVM is behind it"}
	}
	return Check{Name: "/dev/kvm", State: OK, Detail: b.Name + ": hardware virtualization"}
}
