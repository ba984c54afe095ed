package testbed

import (
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"time"
)

// Kind names a testbed.
type Kind string

// The testbeds.
const (
	SVM Kind = "svm" // x86-64 with AMD's SVM and nested paging, in QEMU
	VHE Kind = "vhe" // arm64 with virtualization host extensions and GICv3, in QEMU
	VTX Kind = "vtx" // x86-64 with Intel's VT-x and EPT, in Bochs
)

// Arch gives the architecture of the testbed's host, as Go names it.
func (k Kind) Arch() string {
	if k == VHE {
		return "arm64"
	}
	return "amd64"
}

// Kinds lists the testbeds.
func Kinds() []Kind { return []Kind{SVM, VHE, VTX} }

// A Spec says what to run where. The zero value of each field but Kind and Jobs means its default.
type Spec struct {
	Kind Kind
	// HostKernel is the kernel of the emulated host: one of HostKernels(Kind), by default the first.
	HostKernel string
	// Params are more parameters for the host kernel, such as "kvm-arm.mode=nvhe".
	Params string
	// CPUs is the number of processors, by default 1. VTX has one.
	CPUs int
	// MemMiB is the memory, by default 1024 and for VTX 512. It holds the files, too.
	MemMiB int
	// ICount makes the virtual clock count instructions, one a nanosecond, so that figures repeat exactly. One processor; not for VTX.
	ICount bool
	// Modules are more modules of the host kernel to load, after those of KVM.
	Modules []string
	// EmulatorArgs are more arguments for QEMU.
	EmulatorArgs []string
	// Files are copied in: path inside -> path outside. A folder is copied with all that is in it.
	Files map[string]string
	// Jobs run one after the other in one boot, each after the last has ended, whatever its status.
	Jobs []Job
	// Timeout bounds the whole run, by default 20 minutes and for VTX 40.
	Timeout time.Duration
	// Output gets what the jobs print, as they print it. By default that goes to the log with the rest.
	Output io.Writer
}

// A Job is a script for the busybox shell, run as root in /root with the emulated host all set up. What it prints comes back; so do the
// files that it leaves in the folder $OUT. A process that it leaves behind is killed.
type Job struct {
	// Name is for people, and for folder names: letters, digits, "-", "_" and ".".
	Name   string
	Script string
}

// A Result is what came back. What is there of it is right also where Run fails.
type Result struct {
	// Jobs are those that have begun, in order.
	Jobs []JobResult
	// Dir is the folder of the run. It holds Log, and in files/JOB what each job left in $OUT.
	Dir string
	// Log is the file with the console of the host and the output of the jobs.
	Log string
	// Console is the console of the host kernel.
	Console string
	// Boot is the time from the start of the emulator to the first job, Total that to its end.
	Boot, Total time.Duration
}

// A JobResult is what came of a job.
type JobResult struct {
	Name string
	// Status is the exit status of its script, 128 and the number of a signal that ended it, or -1 as long as it has not ended.
	Status int
	// Output is what it printed.
	Output string
}

// Job gives what came of the named job; ok says that it ended with status 0.
func (r Result) Job(name string) (j JobResult, ok bool) {
	for _, j := range r.Jobs {
		if j.Name == name {
			return j, j.Status == 0
		}
	}
	return JobResult{Name: name, Status: -1}, false
}

// HostKernels lists the kernels that a testbed can have on its host, the default first.
func HostKernels(k Kind) []string {
	switch k {
	case SVM:
		return []string{"6.12-cloud", "6.12", "6.1-cloud", "6.1"}
	case VHE:
		return []string{"arm64-6.12", "arm64-6.12-cloud", "arm64-6.1", "arm64-6.1-cloud"}
	case VTX:
		return []string{"6.1-cloud", "6.1", "6.12-cloud", "6.12"}
	}
	return nil
}

// UsualKernels lists the host kernels that the tests use.
func UsualKernels(k Kind) []string {
	switch k {
	case SVM:
		return []string{"6.1-cloud", "6.12-cloud"}
	case VHE:
		return []string{"arm64-6.12"}
	case VTX:
		return []string{"6.1-cloud"}
	}
	return nil
}

var (
	errSpec = errors.New("testbed")
	jobName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
)

// fill puts the defaults in and checks.
func (s Spec) fill() (Spec, error) {
	known := HostKernels(s.Kind)
	if known == nil {
		return s, fmt.Errorf("%w: there is no kind %q: take one of %v", errSpec, s.Kind, Kinds())
	}
	if s.HostKernel == "" {
		s.HostKernel = known[0]
	}
	if s.Kind == VHE && !strings.HasPrefix(s.HostKernel, "arm64-") {
		s.HostKernel = "arm64-" + s.HostKernel
	}
	s.CPUs = max(s.CPUs, 1)
	if s.MemMiB == 0 {
		s.MemMiB = map[Kind]int{SVM: 1024, VHE: 1024, VTX: 512}[s.Kind]
	}
	if s.Timeout == 0 {
		s.Timeout = map[Kind]time.Duration{SVM: 20 * time.Minute, VHE: 20 * time.Minute, VTX: 40 * time.Minute}[s.Kind]
	}
	return s, s.check(known)
}

func (s Spec) check(kernels []string) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w %s: %s", errSpec, s.Kind, fmt.Sprintf(format, args...))
	}
	names := map[string]bool{}
	for _, k := range kernels {
		names[k] = true
	}
	switch {
	case !names[s.HostKernel]:
		return bad("there is no host kernel %q: take one of %v", s.HostKernel, kernels)
	case s.MemMiB < 128 || s.MemMiB > 1<<20:
		return bad("%d MiB of memory: 128 at least", s.MemMiB)
	case s.CPUs > 16 || s.CPUs > 1 && (s.ICount || s.Kind == VTX):
		return bad("%d processors: at most 16, and one where instructions are counted and in Bochs", s.CPUs)
	case s.ICount && s.Kind == VTX:
		return bad("counting instructions is QEMU's")
	case len(s.Jobs) == 0:
		return bad("nothing to do")
	}
	seen := map[string]bool{}
	for _, j := range s.Jobs {
		if !jobName.MatchString(j.Name) || seen[j.Name] {
			return bad("job %q: a name has letters, digits, - _ and ., and is there once", j.Name)
		}
		seen[j.Name] = true
	}
	for in := range s.Files {
		if !path.IsAbs(in) || path.Clean(in) != in || in == "/" {
			return bad("file %q: a path inside begins with / and has no superfluous parts", in)
		}
	}
	return nil
}
