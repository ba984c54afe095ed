package kernels

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gozen/benches/guest/modules"
)

// module makes an ELF file with a section .modinfo.
func module(info ...string) []byte {
	text := strings.Join(info, "\x00") + "\x00"
	const names = "\x00.modinfo\x00.shstrtab\x00"
	le := binary.LittleEndian
	h := make([]byte, 64)
	copy(h, "\x7fELF\x02\x01\x01")
	le.PutUint16(h[16:], 1) // ET_REL
	le.PutUint16(h[18:], 62)
	le.PutUint32(h[20:], 1)
	le.PutUint64(h[40:], uint64(64+len(text)+len(names))) // section headers
	le.PutUint16(h[52:], 64)
	le.PutUint16(h[58:], 64)
	le.PutUint16(h[60:], 3)
	le.PutUint16(h[62:], 2)
	section := func(name, typ uint32, at, size int) []byte {
		s := make([]byte, 64)
		le.PutUint32(s, name)
		le.PutUint32(s[4:], typ)
		le.PutUint64(s[24:], uint64(at))
		le.PutUint64(s[32:], uint64(size))
		return s
	}
	return bytes.Join([][]byte{h, []byte(text), []byte(names), section(0, 0, 0, 0), section(1, 1, 64, len(text)),
		section(10, 3, 64+len(text), len(names))}, nil)
}

func TestTakeModules(t *testing.T) {
	f := Files{t.TempDir()}
	pkg := filepath.Join(t.TempDir(), "x.deb")
	const dir = "./lib/modules/6.1.0-9/kernel/"
	if err := os.WriteFile(pkg, deb(t, ".gz", map[string]string{"./boot/vmlinuz-6.1.0-9": "kernel", dir + "virt/lib/irqbypass.ko": string(module()),
		dir + "arch/x86/kvm/kvm.ko": string(module("depends=irqbypass")), dir + "arch/x86/kvm/kvm-amd.ko": string(module("depends=kvm")), dir + "other.ko": "x"}), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Modules("6.1", "kvm_amd"); !errors.Is(err, ErrMissing) {
		t.Errorf("before: %v", err)
	}
	if err := f.takeModules("6.1", "linux-9", pkg, []string{"kvm_amd"}); err != nil {
		t.Fatal(err)
	}
	got, err := f.Modules("6.1", "kvm-amd")
	at := filepath.Join(f.Dir, "6.1", "modules")
	if d := cmp.Diff([]string{filepath.Join(at, "irqbypass.ko"), filepath.Join(at, "kvm.ko"), filepath.Join(at, "kvm_amd.ko")}, got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if _, err := f.Modules("6.1", "other"); !errors.Is(err, ErrMissing) {
		t.Errorf("one that was not asked for: %v", err)
	}
	if f.Package("6.1") != "linux-9" {
		t.Errorf("package %q", f.Package("6.1"))
	}
	if err := os.WriteFile(filepath.Join(f.Dir, "6.1", "package"), []byte("linux-10\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Modules("6.1", "kvm"); !errors.Is(err, ErrMissing) {
		t.Errorf("modules of another package than the kernel's: %v", err)
	}
	if err := f.takeModules("6.1", "linux-9", pkg, []string{"none"}); !errors.Is(err, modules.ErrMissing) {
		t.Errorf("no such module: %v", err)
	}
}
