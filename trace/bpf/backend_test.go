package bpf

import "testing"

func TestBackend(t *testing.T) {
	for _, c := range []struct {
		arch, cpuinfo string
		files         []string
		want          Backend
	}{
		{"amd64", "flags\t\t: fpu svm sse\n", []string{"/dev/kvm", "/sys/module/kvm_amd"}, Backend{"kvm-amd", true}},
		{"amd64", "flags\t\t: fpu vmx\n", []string{"/dev/kvm", "/sys/module/kvm_intel"}, Backend{"kvm-intel", true}},
		{"amd64", "flags\t\t: fpu sse\n", []string{"/dev/kvm", "/sys/module/kvm_amd", "/sys/module/kvm_pvm"}, Backend{"kvm-pvm", false}},
		{"amd64", "flags\t\t: fpu svmx\n", []string{"/dev/kvm"}, Backend{"kvm-unknown", false}},
		{"amd64", "flags\t\t: fpu svm\n", []string{"/sys/module/kvm_amd"}, Backend{"none", false}},
		{"arm64", "", []string{"/dev/kvm"}, Backend{"kvm-arm64", true}},
		{"arm64", "", nil, Backend{"none", false}},
	} {
		got := backend(c.arch, c.cpuinfo, func(p string) bool {
			for _, f := range c.files {
				if f == p {
					return true
				}
			}
			return false
		})
		if got != c.want {
			t.Errorf("%s %q %v: %+v, want %+v", c.arch, c.cpuinfo, c.files, got, c.want)
		}
	}
}

func TestCutName(t *testing.T) {
	for _, bad := range []string{"", ":", "a:", ":b", "ab", "a:b:c", "../x:y", "a:b/c", "a:b\x00", "a b:c"} {
		if g, e, ok := cutName(bad); ok {
			t.Errorf("%q is %q and %q", bad, g, e)
		}
	}
	if g, e, ok := cutName("kvm:kvm_exit"); !ok || g != "kvm" || e != "kvm_exit" {
		t.Error("kvm:kvm_exit")
	}
}
