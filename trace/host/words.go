package host

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"gozen/trace/bpf"
)

// words puts the keys of a probe into words, with the names that the kernel itself gives in its formats.
type words struct {
	symbols map[string][]map[uint64]string // by probe
}

func readWords(t *bpf.Tracefs) *words {
	w := &words{symbols: map[string][]map[uint64]string{}}
	for _, p := range bpf.KVM() {
		if f, err := t.Format(p.Points()[0].Tracepoint); err == nil {
			w.symbols[p.Name] = f.Symbols()
		}
	}
	return w
}

// name looks a number up in the n-th list of a probe.
func (w *words) name(probe string, n int, v uint64) string {
	if l := w.symbols[probe]; n >= 0 && n < len(l) {
		if s, ok := l[n][v]; ok {
			return s
		}
	}
	return fmt.Sprintf("%#x", v)
}

// what gives the words. k holds as many keys as the probe has.
func (w *words) what(probe string, k []uint64) string {
	switch probe {
	case bpf.ProbeExit:
		return w.exit(probe, k)
	case bpf.ProbeUserExit, bpf.ProbeRun:
		return w.user(k[0], int64(k[1]))
	case bpf.ProbePort:
		return fmt.Sprintf("%s %#x", direction(k[0], "in", "out"), k[1])
	case bpf.ProbeMMIO:
		return fmt.Sprintf("%s %#x", w.name(probe, 0, k[0]), k[1])
	case bpf.ProbeMSR:
		return fmt.Sprintf("%s %#x", direction(k[0], "rdmsr", "wrmsr"), k[1])
	case bpf.ProbeInterrupt:
		return fmt.Sprintf("vector %#x", k[0])
	case bpf.ProbeWakeup:
		return direction(k[0], "polled", "slept")
	}
	return ""
}

func direction(v uint64, zero, one string) string {
	if v == 0 {
		return zero
	}
	return one
}

// exit names a hardware exit. The kernel lists VT-x's names and then SVM's; on arm64 what happened, and then the classes of exceptions.
func (w *words) exit(probe string, k []uint64) string {
	if f := bpf.KVM()[0].Count.Keys[0]; f != "isa" {
		return fmt.Sprintf("%s %s", w.name(probe, 0, k[0]), w.name(probe, 1, k[1]))
	}
	const vtx, failedEntry = 1, 1 << 31
	v := k[1]
	if k[0] != vtx {
		return w.name(probe, int(k[0])-1, v)
	}
	s := w.name(probe, 0, v&0xffff)
	if v&failedEntry != 0 {
		s += " (the entry failed)"
	}
	return s
}

// user names an exit to user space. The reason is that of an earlier one if the run ended with an error.
func (w *words) user(reason uint64, errno int64) string {
	switch {
	case errno == -int64(unix.EINTR):
		return "signal"
	case errno < 0:
		return "error: " + unix.Errno(-errno).Error()
	}
	return strings.ToLower(strings.TrimPrefix(w.name(bpf.ProbeUserExit, 0, reason), "KVM_EXIT_"))
}
