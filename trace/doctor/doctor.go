package doctor

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"gozen/trace/bpf"
)

// State says how a source is.
type State string

// The states of a Check.
const (
	OK      State = "ok"
	Silent  State = "silent"    // it is there, takes programs, and tells nothing
	Missing State = "missing"   // this kernel has no such thing
	Refused State = "refused"   // it is there, and not for us
	Untried State = "not tried" // it is attached; nothing made it fire
)

// Check is what was found of one source.
type Check struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Detail string `json:"detail"`
	// Fix is what to do, where something can be done.
	Fix string `json:"fix,omitempty"`
}

// Report is all of it.
type Report struct {
	Kernel  string      `json:"kernel"`
	Arch    string      `json:"arch"`
	Backend bpf.Backend `json:"backend"`
	// Summary is one line.
	Summary string  `json:"summary"`
	Checks  []Check `json:"checks"`
}

// Look tries everything. It takes about two seconds, most of which the kernel takes to detach.
func Look() *Report {
	var u unix.Utsname
	_ = unix.Uname(&u)
	r := &Report{Kernel: unix.ByteSliceToString(u.Release[:]), Arch: unix.ByteSliceToString(u.Machine[:]), Backend: bpf.ThisBackend()}
	r.add(kernelAge(r.Kernel), privilege(), pidNamespace(), lockdown(), memlock(r.Kernel))
	r.add(programs(), btf())
	fs, err := bpf.OpenTracefs()
	if err != nil {
		r.add(Check{Name: "tracefs", State: Refused, Detail: short(err), Fix: "as root: mount -t tracefs tracefs /sys/kernel/tracing"})
	} else {
		defer fs.Close()
		r.add(Check{Name: "tracefs", State: OK, Detail: fs.Where()})
		r.add(tracepoints(fs, r.Backend)...)
	}
	r.add(rawTracepoint(), fentry(), kprobe(), perfEvent(), counters(), device(r.Backend))
	r.Summary = r.summary()
	return r
}

func (r *Report) add(c ...Check) { r.Checks = append(r.Checks, c...) }

// state gives that of a check, Missing if there is none.
func (r *Report) state(name string) State {
	for _, c := range r.Checks {
		if c.Name == name {
			return c.State
		}
	}
	return Missing
}

// summary says in a line what matters.
func (r *Report) summary() string {
	word := func(s State) string {
		if s == OK {
			return "yes"
		}
		if s == Missing || s == Refused {
			return "no"
		}
		return string(s)
	}
	parts := []string{"tracepoints " + word(r.state("kvm:kvm_userspace_exit"))}
	if s := r.state("kvm:kvm_exit"); s == Silent {
		parts = append(parts, fmt.Sprintf("kvm_exit silent on %s", r.Backend.Name))
	} else {
		parts = append(parts, "kvm_exit "+word(s))
	}
	for _, n := range []string{"raw tracepoint", "fentry", "kprobe"} {
		parts = append(parts, n+" "+word(r.state(n)))
	}
	return "ebpf: " + strings.Join(parts, ", ")
}
