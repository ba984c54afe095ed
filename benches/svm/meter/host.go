package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

const (
	tracing = "/sys/kernel/tracing"
	stats   = "/sys/kernel/debug/kvm"
)

// counters reads all, over all VMs that there are.
func counters() map[string]uint64 {
	out := map[string]uint64{}
	files, _ := os.ReadDir(stats)
	for _, f := range files {
		if !f.IsDir() {
			out[f.Name()] = readNumber(filepath.Join(stats, f.Name()))
		}
	}
	return out
}

func readNumber(path string) uint64 {
	b, _ := os.ReadFile(path)
	n, _ := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return n
}

// counts are hits by the values of one or two fields.
type counts map[[2]int64]uint64

// hist counts the events of a KVM tracepoint by its fields, in the kernel.
type hist struct{ dir, keys string }

func newHist(event, keys string) *hist {
	h := &hist{filepath.Join(tracing, "events/kvm", event), keys}
	if err := h.write("hist:keys=" + keys); err != nil {
		fmt.Fprintln(os.Stderr, "meter:", err)
	}
	return h
}

func (h *hist) write(s string) error {
	f, err := os.OpenFile(filepath.Join(h.dir, "trigger"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(s + "\n")
	return err
}

// read gives the counts so far.
func (h *hist) read() counts {
	b, err := os.ReadFile(filepath.Join(h.dir, "hist"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "meter:", err)
	}
	return parseHist(string(b), h.keys)
}

// end stops counting.
func (h *hist) end() { _ = h.write("!hist:keys=" + h.keys) }

// parseHist reads a histogram of ftrace (Documentation/trace/histogram.rst): lines such as
// "{ reason: 2, errno: 0 } hitcount: 17".
func parseHist(text, keys string) counts {
	out := counts{}
	line := regexp.MustCompile(`(?m)^\{ *(.*?) *\} *hitcount: *([0-9]+)`)
	for _, m := range line.FindAllStringSubmatch(text, -1) {
		var k [2]int64
		for i, field := range strings.Split(keys, ",") {
			_, after, _ := strings.Cut(", "+m[1], ", "+field+":")
			word, _, _ := strings.Cut(strings.TrimSpace(after), ",")
			k[i] = parseKey(strings.TrimSpace(word))
		}
		n, _ := strconv.ParseUint(m[2], 10, 64)
		out[k] += n
	}
	return out
}

// parseKey reads a value. Signed ones are printed as 64 bits without sign by some kernels.
func parseKey(s string) int64 {
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return n
	}
	n, _ := strconv.ParseUint(s, 0, 64)
	return int64(n)
}

// Causes that are not gozen's to avoid.
const (
	causeCPUID = "CPUID"
	causeHost  = "host interrupt"
)

// svmExit names an exit code of SVM (APM 2, appendix C).
func svmExit(code int64) string {
	switch {
	case code < 0:
		return "invalid state"
	case code < 0x10:
		return "CR read"
	case code < 0x20:
		return "CR write"
	case code < 0x40:
		return "DR"
	case code < 0x60:
		return fmt.Sprintf("exception %d", code-0x40)
	}
	names := map[int64]string{0x60: causeHost, 0x61: causeHost, 0x62: causeHost, 0x64: "interrupt window", 0x65: "CR0 selective", 0x66: "IDTR read",
		0x6e: "RDTSC", 0x72: causeCPUID, 0x74: "IRET", 0x77: "PAUSE", 0x78: "HLT", 0x79: "INVLPG", 0x7b: "port", 0x7c: "MSR", 0x7f: "shutdown",
		0x81: "VMMCALL", 0x87: "RDTSCP", 0x89: "WBINVD", 0x8d: "XSETBV", 0x400: "nested page fault"}
	if n := names[code]; n != "" {
		return n
	}
	return fmt.Sprintf("%#x", code)
}

// userExit names an exit reason of KVM (include/uapi/linux/kvm.h), which says nothing where KVM_RUN failed.
func userExit(reason, errno int64) string {
	switch int32(errno) {
	case 0:
	case 4, -4:
		return "signal"
	case 11, -11:
		return "EAGAIN"
	default:
		return fmt.Sprintf("error %d", int32(errno))
	}
	names := map[int64]string{2: "port", 3: "hypercall", 4: "debug", 5: "HLT", 6: "MMIO", 7: "interrupt window", 8: "shutdown", 10: "signal",
		17: "internal error", 26: "EOI", 29: "RDMSR", 30: "WRMSR", 34: "Xen"}
	if n := names[reason]; n != "" {
		return n
	}
	return fmt.Sprintf("reason %d", reason)
}
