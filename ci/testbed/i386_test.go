package testbed

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gozen/benches/guest/abi32"
	"gozen/benches/guest/linux"
	"gozen/benches/guest/tiny"
	"gozen/ci/kernels"
)

// Guests of 32 bits on the host's KVM, with both kinds of page tables.
const (
	text32   = "32 bits: three upcalls of the timer\r\n"
	config32 = "name = \"hello32\"\ntype = \"pvh\"\nkernel = \"/root/hello32-KIND.elf\"\nmemory = 64\n"
	script32 = "xl -v create -c hello32-0.cfg && xl create -c hello32-1.cfg"
	want32   = `(?s)engine kvm-.*32 bits: three upcalls of the timer.*has ended: poweroff.*32 bits: three upcalls of the timer.*has ended: poweroff`
)

func files32(t *testing.T, b boot) map[string]string {
	files := map[string][]byte{}
	for _, p := range []tiny.Paging{tiny.Legacy, tiny.PAE} {
		img, err := abi32.Hello(p, text32)
		if err != nil {
			t.Fatal(err)
		}
		files[fmt.Sprintf("hello32-%d.elf", p)] = img
		files[fmt.Sprintf("hello32-%d.cfg", p)] = []byte(strings.Replace(config32, "KIND", strconv.Itoa(int(p)), 1))
	}
	return withPrograms(t, b, files)
}

// withPrograms gives xl, the hypervisor, and files for /root.
func withPrograms(t *testing.T, b boot, root map[string][]byte) map[string]string {
	files := program("/bin/xl", "../../xl")(t, b)
	maps.Copy(files, program("/bin/hypervisor", "../../hypervisor")(t, b))
	dir := t.TempDir()
	for name, content := range root {
		files["/root/"+name] = filepath.Join(dir, name)
		if err := os.WriteFile(files["/root/"+name], content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// Debian's kernel with PAE, with programs of 32 bits, where it comes up: QEMU 7.2 marks page-directory pointers as accessed, which KVM refuses when the guest next
// writes CR0 or CR4.
const (
	kernel32     = "i386-6.1-pae"
	kernelScript = "timeout 1500 xl -v create -c kernel32.cfg"
	kernelWant   = `(?s)engine kvm-.*guest: init of 6\.1\.[^ ]*-686-pae with 1 vCPU.*guest: type = xen.*guest: clock = xen.*guest: done.*has ended: poweroff`
	kernelConfig = `name = "kernel32"
type = "pvh"
kernel = "/root/vmlinuz-i386"
ramdisk = "/root/kernel32.cpio"
memory = 256
cmdline = "console=hvc0 quiet cryptomgr.notests"
`
)

func kernel32Ready(b boot) bool {
	return b.spec.Kind == VTX && haveGuests(kernel32, kernels.BusyboxI386)
}

func kernel32Files(t *testing.T, b boot) map[string]string {
	f, err := kernels.Open()
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := f.Find(kernel32)
	if err != nil {
		t.Fatal(err)
	}
	busybox, err := f.Find(kernels.BusyboxI386)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := linux.Initramfs(busybox, bootInit)
	if err != nil {
		t.Fatal(err)
	}
	files := withPrograms(t, b, map[string][]byte{"kernel32.cpio": archive, "kernel32.cfg": []byte(kernelConfig)})
	files["/root/vmlinuz-i386"] = kernel
	return files
}
