package doctor

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"gozen/trace/bpf"
)

// kernelAge judges the kernel's version.
func kernelAge(release string) Check {
	c := Check{Name: "kernel", State: OK, Detail: "Linux " + release}
	if older(release, 5, 8) {
		c.Detail += ": CAP_BPF and CAP_PERFMON came with 5.8, so it takes CAP_SYS_ADMIN"
	}
	return c
}

// older says whether a kernel is older than a version. One that it cannot read is not.
func older(release string, major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(release, "%d.%d", &a, &b); n != 2 {
		return false
	}
	return a < major || a == major && b < minor
}

// privilege looks at the capabilities in effect.
func privilege() Check {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return Check{Name: "privilege", State: Refused, Detail: err.Error()}
	}
	return capabilities(string(b), os.Geteuid())
}

func capabilities(status string, uid int) Check {
	c := Check{Name: "privilege", State: OK}
	var have uint64
	for l := range strings.Lines(status) {
		if v, ok := strings.CutPrefix(l, "CapEff:"); ok {
			have, _ = strconv.ParseUint(strings.TrimSpace(v), 16, 64)
		}
	}
	has := func(bit int) bool { return have>>bit&1 != 0 }
	var yes, no []string
	for _, n := range []struct {
		name string
		bit  int
	}{{"CAP_BPF", unix.CAP_BPF}, {"CAP_PERFMON", unix.CAP_PERFMON}, {"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN}} {
		if has(n.bit) {
			yes = append(yes, n.name)
		} else {
			no = append(no, n.name)
		}
	}
	c.Detail = fmt.Sprintf("user %d", uid)
	if len(yes) > 0 {
		c.Detail += ", has " + strings.Join(yes, ", ")
	}
	if len(no) > 0 {
		c.Detail += ", lacks " + strings.Join(no, ", ")
	}
	if !has(unix.CAP_SYS_ADMIN) && !(has(unix.CAP_BPF) && has(unix.CAP_PERFMON)) {
		c.State, c.Fix = Refused, "run it as root, or: setcap cap_bpf,cap_perfmon,cap_dac_read_search+ep perfctl"
	}
	return c
}

func pidNamespace() Check {
	if bpf.InitialPIDs() {
		return Check{Name: "process numbers", State: OK, Detail: "the host's"}
	}
	return Check{Name: "process numbers", State: Refused, Detail: "of a container's PID namespace: the kernel's tracepoints tell others", Fix: "run it outside, or with the host's (--pid=host)"}
}

func lockdown() Check {
	c := Check{Name: "lockdown", State: OK, Detail: "none"}
	b, err := os.ReadFile("/sys/kernel/security/lockdown")
	if err != nil {
		return c
	}
	_, mode, _ := strings.Cut(string(b), "[")
	mode, _, _ = strings.Cut(mode, "]")
	c.Detail = mode
	if mode == "confidentiality" {
		c.State, c.Fix = Refused, "boot without lockdown=confidentiality"
	}
	return c
}

func memlock(release string) Check {
	c := Check{Name: "memlock", State: OK}
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil {
		return Check{Name: "memlock", State: Refused, Detail: err.Error()}
	}
	c.Detail = "no limit"
	if l.Cur != unix.RLIM_INFINITY {
		c.Detail = fmt.Sprintf("%d KiB", l.Cur>>10)
	}
	if !older(release, 5, 11) {
		c.Detail += "; does not matter: this kernel counts eBPF's memory by cgroup"
	} else if l.Cur != unix.RLIM_INFINITY {
		c.Detail += "; perfctl lifts it where it may (CAP_SYS_RESOURCE)"
	}
	return c
}
