package testbed

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gozen/benches/guest/hello"
)

// require names the environment variable that turns a skip for what is missing into a failure. With it, the slow VTX runs, too.
const require = "GOZEN_REQUIRE_TESTBEDS"

var only = flag.String("jobs", "", "run only the jobs on emulated hosts whose name matches this regular expression")

// boot is an emulated host; all jobs that are for it share it.
type boot struct {
	name    string
	spec    Spec
	console string // must be on the console of its kernel
}

func boots(k Kind) []boot {
	switch k {
	case SVM:
		return []boot{
			{"6.1", Spec{Kind: SVM, HostKernel: "6.1-cloud"}, "kvm: Nested Paging enabled"},
			{"6.12", Spec{Kind: SVM, HostKernel: "6.12-cloud"}, "kvm_amd: Nested Paging enabled"},
		}
	case VHE:
		return []boot{
			{"vhe", Spec{Kind: VHE, HostKernel: "arm64-6.12", CPUs: 2}, "VHE mode initialized successfully"},
			{"nvhe", Spec{Kind: VHE, HostKernel: "arm64-6.12", Params: "kvm-arm.mode=nvhe"}, "Hyp nVHE mode initialized successfully"},
		}
	case VTX:
		return []boot{{"6.1", Spec{Kind: VTX, HostKernel: "6.1-cloud"}, ""}}
	}
	return nil
}

// job is what runs on the hosts.
type job struct {
	name string
	// on tells whether it is for a boot; nil: for all.
	on func(b boot) bool
	// files gives what it needs: path inside -> path outside; nil: nothing. Files of jobs with the same path inside must be the same.
	files  func(t *testing.T, b boot) map[string]string
	script string
	// want is what its output must match, if not "". Its status must be 0 in any case.
	want string
	// check, if not nil, looks at the output and at the files left in $OUT, which are in the folder dir.
	check func(t *testing.T, output, dir string)
}

func jobs() []job {
	return []job{
		{
			name: "kvm", files: program("/bin/kvm", "./testdata/kvm"), script: "exec kvm",
			want: `^KVM API 12\na virtual machine with a processor was made\n$`,
		},
		{
			name: "ept", on: is(VTX), script: "cat /sys/module/kvm_intel/parameters/ept", want: `^Y\n$`,
		},
		{
			name: "host", script: "uname -rm; for f in cgroup.controllers; do cat /sys/fs/cgroup/$f; done; ls /sys/kernel/security; ip addr show lo; date +%Y; sleep 1000 &",
			want: `(?s)^6\.\d+.*(x86_64|aarch64).*memory.*inet 127\.0\.0\.1.*20[23]\d\n$`,
		},
		{
			// The programs run on this host; the guest is on the software CPU.
			name: "xl", files: programs,
			script: "xl create hello.cfg && xl list && xl shutdown -ww hello && xl list | grep -c hello; :",
			want:   `(?s)hello +1 +64 +1.*Domain 1 has been destroyed\n0\n$`,
		},
		{
			name: "engine-kvm", on: is(VHE), files: tests("/bin/kvm-test", "../../hypervisor/engine/kvm"), script: "exec kvm-test -test.v -test.timeout 120s",
			want: `(?s)--- PASS: TestVCPU_upcallIsALevel.*\nPASS\n$`,
		},
		{
			name: "bits32", on: is(SVM, VTX), files: files32, script: script32, want: want32,
		},
		{
			name: "kernel32", on: kernel32Ready, files: kernel32Files, script: kernelScript, want: kernelWant,
		},
		{
			name: "a64", on: a64Ready, files: a64Files, script: a64Script, check: checkA64,
		},
		{
			name: "boot-svm", on: bootReady(SVM), files: bootFiles, script: bootScript(SVM, "pvh"), check: checkBoots(SVM, "pvh"),
		},
		{
			name: "pv-svm", on: bootReady(SVM), files: bootFiles, script: bootScript(SVM, "pv"), check: checkBoots(SVM, "pv"),
		},
		{
			name: "hvm-svm", on: bootReady(SVM), files: bootFiles, script: bootScript(SVM, "hvm"), check: checkBoots(SVM, "hvm"),
		},
		{
			name: "boot-vtx", on: bootReady(VTX), files: bootFiles, script: bootScript(VTX, "pvh"), check: checkBoots(VTX, "pvh"),
		},
		{
			name: "enginetest", on: is(SVM, VTX), files: tests("/bin/kvm.test", "../../hypervisor/engine/kvm"),
			script: "exec kvm.test -test.v -test.run 'Conformance|Compare'", want: `(?m)^PASS$`,
		},
		{
			name: "sandbox", files: tests("/bin/sandbox.test", "../../hypervisor/sandbox"), script: "exec sandbox.test -test.v", want: `(?m)^PASS$`,
		},
		{
			// Where there is hardware, the exits of the processor are counted, too.
			name: "trace", on: is(SVM, VTX), files: tests("/bin/bpf.test", "../../trace/bpf"),
			script: "export GOZEN_REQUIRE_BPF=1; exec bpf.test -test.v -test.run 'Open|Session|Start|inTheKernel'", want: `(?s)kvm_exit [1-9].*--- PASS: TestSession_exact.*\nPASS\n$`,
		},
		{
			name: "trace-arm64", on: is(VHE), files: tests("/bin/bpf.test", "../../trace/bpf"),
			script: "export GOZEN_REQUIRE_BPF=1; exec bpf.test -test.v -test.run 'Open|Start|inTheKernel'", want: `(?s)--- PASS: TestOpen_verified.*\nPASS\n$`,
		},
		{
			name: "files", script: "mkdir $OUT/a; head -c 100000 /dev/urandom > $OUT/a/b; sha256sum < $OUT/a/b | cut -c1-64", check: sameSum,
		},
	}
}

func is(kinds ...Kind) func(boot) bool {
	return func(b boot) bool {
		for _, k := range kinds {
			if b.spec.Kind == k {
				return true
			}
		}
		return false
	}
}

// program gives a static binary of a package for the host.
func program(inside, pkg string) func(*testing.T, boot) map[string]string {
	return func(t *testing.T, b boot) map[string]string {
		to := filepath.Join(t.TempDir(), filepath.Base(inside))
		if err := b.spec.Kind.Build(t.Context(), to, pkg); err != nil {
			t.Fatal(err)
		}
		return map[string]string{inside: to}
	}
}

// tests gives the tests of a package.
func tests(inside, pkg string) func(*testing.T, boot) map[string]string {
	return func(t *testing.T, b boot) map[string]string {
		to := filepath.Join(t.TempDir(), filepath.Base(inside))
		if err := b.spec.Kind.BuildTest(t.Context(), to, pkg); err != nil {
			t.Fatal(err)
		}
		return map[string]string{inside: to}
	}
}

// programs gives xl, the hypervisor and a small guest.
func programs(t *testing.T, b boot) map[string]string {
	files := program("/bin/xl", "../../xl")(t, b)
	maps.Copy(files, program("/bin/hypervisor", "../../hypervisor")(t, b))
	img, err := hello.Image()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg := "name = \"hello\"\ntype = \"pvh\"\nengine = \"soft\"\nkernel = \"/root/hello.elf\"\nmemory = 64\n"
	for name, content := range map[string][]byte{"hello.elf": img, "hello.cfg": []byte(cfg)} {
		files["/root/"+name] = filepath.Join(dir, name)
		if err := os.WriteFile(files["/root/"+name], content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func sameSum(t *testing.T, output, dir string) {
	b, err := os.ReadFile(filepath.Join(dir, "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	if got := sum(b); got != strings.TrimSpace(output) {
		t.Errorf("%d bytes with the sum %s came back, but %s was sent", len(b), got, output)
	}
}

func TestSVM(t *testing.T) { runAll(t, SVM) }
func TestVHE(t *testing.T) { runAll(t, VHE) }
func TestVTX(t *testing.T) { runAll(t, VTX) }

// runAll boots each host of a testbed once for all its jobs.
func runAll(t *testing.T, k Kind) {
	if testing.Short() {
		t.Skip("boots emulated hosts: not with -short")
	}
	required := os.Getenv(require) == "1"
	if k == VTX && !required {
		t.Skip("takes long: run it by make testbed-vtx")
	}
	for _, b := range boots(k) {
		t.Run(b.name, func(t *testing.T) {
			err := Available(k, b.spec.HostKernel)
			if err != nil && required {
				t.Fatal(err)
			}
			if err != nil {
				t.Skip(err)
			}
			b.run(t, jobs())
		})
	}
}

func (b boot) run(t *testing.T, all []job) {
	re, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	spec := b.spec
	spec.Files = map[string]string{}
	var mine []job
	for _, j := range all {
		if j.on != nil && !j.on(b) || !re.MatchString(j.name) {
			continue
		}
		mine = append(mine, j)
		spec.Jobs = append(spec.Jobs, Job{j.name, j.script})
		if j.files != nil {
			maps.Copy(spec.Files, j.files(t, b))
		}
	}
	if len(mine) == 0 {
		t.Skipf("no job matches %q", *only)
	}
	r, err := Run(t.Context(), spec, t.Output())
	for again := 0; again < 2 && errors.Is(err, ErrStalled); again++ {
		t.Logf("%v: QEMU's fault, so once more", err)
		r, err = Run(t.Context(), spec, t.Output())
	}
	if err != nil {
		t.Error(err)
	}
	if r.Log == "" {
		return
	}
	t.Logf("%.1f s to the first job, %.1f s in all; log: %s", r.Boot.Seconds(), r.Total.Seconds(), r.Log)
	if !strings.Contains(r.Console, b.console) {
		t.Errorf("the host kernel did not say %q (log: %s)", b.console, r.Log)
	}
	for _, j := range mine {
		t.Run(j.name, func(t *testing.T) { j.judge(t, r) })
	}
}

// judge checks what came of a job.
func (j job) judge(t *testing.T, r Result) {
	got, ok := r.Job(j.name)
	if !ok {
		t.Fatalf("status %d; it printed:\n%s(log: %s)", got.Status, got.Output, r.Log)
	}
	if j.want != "" && !regexp.MustCompile(j.want).MatchString(got.Output) {
		t.Errorf("it printed\n%swhich does not match %s", got.Output, j.want)
	}
	if j.check != nil {
		j.check(t, got.Output, filepath.Join(r.Dir, "files", j.name))
	}
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
