package kvm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"gozen/hypervisor/config"
)

// wantNoDevice is the advice for a host without /dev/kvm.
var wantNoDevice = map[string]string{
	"amd64": `load the module (modprobe kvm_amd or kvm_intel; switch virtualization on in the firmware), or use engine="soft"`,
	"arm64": `use a host whose kernel has KVM and was started at EL2 (dmesg says "CPU: All CPU(s) started at EL2"), with /dev/kvm`,
}

func TestOpen_refused(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "kvm"): "no such file or directory (" + wantNoDevice[runtime.GOARCH] + ")",
		"/dev/null":               `it is not KVM's device file (make it again (character device 10, 232), or use engine="soft")`,
		plain:                     `it is not KVM's device file (make it again (character device 10, 232), or use engine="soft")`,
		dir:                       `is a directory (use engine="soft")`,
	} {
		s, err := Open(path)
		if s != nil {
			t.Fatalf("%s was opened", path)
		}
		var e *config.Error
		if !errors.As(err, &e) || e.Field != "engine" || err.Error() != "KVM cannot be used: "+path+": "+want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

// TestOpen_noPermission opens a file without rights in a child that is not root.
func TestOpen_noPermission(t *testing.T) {
	if path := os.Getenv("KVM_CHILD"); path != "" {
		const nobody = 65534
		if os.Getuid() == 0 {
			// Package syscall's calls are those of all threads.
			if err := errors.Join(syscall.Setgroups(nil), syscall.Setresgid(nobody, nobody, nobody), syscall.Setresuid(nobody, nobody, nobody)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Open(path)
		fmt.Println("error:", err)
		return
	}
	dir, err := os.MkdirTemp("", "kvm") // not below a folder that only root may enter
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "kvm")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, nil, 0)); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "-test.run=^TestOpen_noPermission$", "-test.v")
	c.Env = append(os.Environ(), "KVM_CHILD="+path)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := fmt.Sprintf("error: KVM cannot be used: %s: permission denied (add yourself to the group that owns %s (usermod -aG kvm USER), or use engine=\"soft\")\n", path, path)
	if !strings.Contains(string(out), want) {
		t.Errorf("the child says\n%s\nwant %s", out, want)
	}
}

// TestCheckNeeded takes each capability away in turn.
func TestCheckNeeded(t *testing.T) {
	all := func(int) int { return 1 }
	if err := checkNeeded(all); err != nil {
		t.Error(err)
	}
	for _, c := range needed {
		err := checkNeeded(func(n int) int {
			if n == c.number {
				return 0
			}
			return all(n)
		})
		want := "this host's KVM cannot be used: it has no " + c.name + ` (use a newer host kernel (Linux 5.19 or later; arm64: 6.4), or engine="soft")`
		if err == nil || err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}
