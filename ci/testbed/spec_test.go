package testbed

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gozen/ci/kernels"
)

var oneJob = []Job{{"a", "true"}}

func TestFill(t *testing.T) {
	s, err := Spec{Kind: VHE, HostKernel: "6.12", Jobs: oneJob}.fill()
	if err != nil || s.HostKernel != "arm64-6.12" || s.CPUs != 1 || s.MemMiB != 1024 || s.Timeout != 20*time.Minute {
		t.Errorf("%+v %v", s, err)
	}
	for _, k := range Kinds() {
		if _, err := (Spec{Kind: k, Jobs: oneJob}).fill(); err != nil {
			t.Error(err)
		}
		known := append(kernels.Names(), kernels.Arm64Names()...)
		for _, h := range append(HostKernels(k), UsualKernels(k)...) {
			if !slices.Contains(known, h) || !slices.Contains(HostKernels(k), h) {
				t.Errorf("%s: kernel %s", k, h)
			}
		}
	}
}

func TestFill_errors(t *testing.T) {
	tests := []struct {
		spec Spec
		want string
	}{
		{Spec{}, `no kind ""`},
		{Spec{Kind: "vax"}, `no kind "vax": take one of [svm vhe vtx]`},
		{Spec{Kind: SVM, HostKernel: "5.10", Jobs: oneJob}, `no host kernel "5.10": take one of`},
		{Spec{Kind: SVM}, "nothing to do"},
		{Spec{Kind: SVM, MemMiB: 64, Jobs: oneJob}, "128 at least"},
		{Spec{Kind: SVM, CPUs: 2, ICount: true, Jobs: oneJob}, "2 processors"},
		{Spec{Kind: VTX, CPUs: 2, Jobs: oneJob}, "2 processors"},
		{Spec{Kind: VTX, ICount: true, Jobs: oneJob}, "QEMU"},
		{Spec{Kind: SVM, Jobs: []Job{{"a", ""}, {"a", ""}}}, `job "a"`},
		{Spec{Kind: SVM, Jobs: []Job{{"../a", ""}}}, `job "../a"`},
		{Spec{Kind: SVM, Jobs: oneJob, Files: map[string]string{"x": ""}}, `file "x"`},
		{Spec{Kind: SVM, Jobs: oneJob, Files: map[string]string{"/a/../b": ""}}, `file "/a/../b"`},
	}
	for _, tt := range tests {
		if _, err := tt.spec.fill(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %s", tt.spec, err, tt.want)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, s := range []string{"", "a b", "it's", `$HOME "x" \ ` + "`", "new\nline", "-n"} {
		out, err := exec.Command("sh", "-c", "printf %s "+quote(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q: %q %v", s, out, err)
		}
	}
}

func TestScript(t *testing.T) {
	s := Spec{Kind: SVM, Jobs: []Job{{"one", ""}, {"two", ""}}}
	got := s.script("NONSENSE", []string{"/modules/kvm.ko", "/modules/kvm_amd.ko"})
	for _, want := range []string{"exec 3> /dev/ttyS1\n", "@@NONSENSE %s", "load '/modules/kvm.ko'\nload '/modules/kvm_amd.ko'\n", "job 'one'\njob 'two'\nfiles\nover\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	c := exec.Command("sh", "-n")
	c.Stdin = strings.NewReader(got)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if got := (Spec{Kind: VHE, ICount: true}).script("N", nil); !strings.Contains(got, "date -s @1767225600") || !strings.Contains(got, "/dev/ttyS0") {
		t.Error(got)
	}
}

func TestQEMU(t *testing.T) {
	i := image{kernel: "/k", initrd: "/i", params: "a b", console: "/c", stream: "/s"}
	tests := []struct {
		spec Spec
		want []string
	}{
		{Spec{Kind: SVM, CPUs: 2, MemMiB: 512}, []string{"qemu-system-x86_64", "max,svm=on,npt=on", "-accel tcg -smp 2 -m 512 ", "-serial chardev:stream"}},
		{Spec{Kind: SVM, CPUs: 1, ICount: true}, []string{"-accel tcg,thread=single", "-icount shift=0,sleep=off"}},
		{Spec{Kind: VHE, EmulatorArgs: []string{"-d", "int"}}, []string{"qemu-system-aarch64", "virt,virtualization=on,gic-version=3", "max,pauth-impdef=on", "pci-serial,chardev=stream -d int"}},
	}
	for _, tt := range tests {
		got := strings.Join(tt.spec.qemu("qemu-system-x86_64", i), " ")
		for _, w := range append(tt.want, "-kernel /k -initrd /i -append a b ", "path=/c ") {
			if !strings.Contains(got, w) {
				t.Errorf("no %q in %s", w, got)
			}
		}
	}
}

func TestParams(t *testing.T) {
	if got := (Spec{Kind: VHE, Params: "x=1"}).params(); got != "console=ttyAMA0 panic=-1 x=1" {
		t.Error(got)
	}
	if got := (Spec{Kind: SVM, CPUs: 2}).params(); got != "console=ttyS0,115200 panic=-1 maxcpus=1" {
		t.Errorf("%q", got)
	}
	if got := (Spec{Kind: SVM}).params(); got != "console=ttyS0,115200 panic=-1" {
		t.Error(got)
	}
}

func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, k := range Kinds() {
		err := Available(k)
		if err == nil || !strings.Contains(err.Error(), packages(k)[0][0]) || !strings.Contains(err.Error(), "ci/testbed/run prepare "+string(k)) {
			t.Errorf("%s: %v", k, err)
		}
	}
}

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"box": "busybox itself", "kvm_amd.ko": "a module", "tree/sub/f": "a file"} {
		if err := saveFile(filepath.Join(dir, name), 0o755, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	_ = os.Symlink("sub/f", filepath.Join(dir, "tree", "link"))
	to := filepath.Join(dir, "initrd")
	d := diskSpec{busybox: filepath.Join(dir, "box"), init: "the init script", modules: []string{filepath.Join(dir, "kvm_amd.ko")},
		files: map[string]string{"/data": filepath.Join(dir, "tree")}, jobs: []Job{{"job-1", "a script"}}}
	if err := d.write(to); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(to)
	for _, want := range []string{"busybox itself", "the init script", "modules/kvm_amd.ko\x00", "a module", "jobs/job-1\x00", "a script\n",
		"data/sub/f\x00", "a file", "data/link\x00", "dev/console\x00"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the disk lacks %q", want)
		}
	}
	d.files["/none"] = filepath.Join(dir, "none")
	if err := d.write(to); err == nil || !strings.Contains(err.Error(), "/none=") {
		t.Error(err)
	}
}
