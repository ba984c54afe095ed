package e2e

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"gozen/benches/guest/hello"
	"gozen/hypervisor/bootloader/imagetest"
)

// TestBootloader starts the small guest from a partition of its disk, and again after the choice in the disk has changed.
func TestBootloader(t *testing.T) {
	h := newHost(t)
	kernel, err := hello.Image()
	if err != nil {
		t.Fatal(err)
	}
	conf := "set default=0   \nmenuentry 'first' --id one { linux /boot/hello x }\nsubmenu more { menuentry 'second' --id two { linux /boot/hello y } }\nmenuentry 'lost' { linux /none }\n"
	conf = strings.ReplaceAll(conf, " }", "\n}")
	disk := imagetest.GPT(make([]byte, 4096), imagetest.Ext2(map[string]string{"/boot/grub/grub.cfg": conf, "/boot/hello": string(kernel)}, "root"))
	img := h.write("disk.img", disk)
	cfg := h.config("hello", fmt.Sprintf("memory = 64\nbootloader = 'pygrub'\ndisk = [ '%s,raw,xvda,rw' ]\non_poweroff = 'restart'\n", img))

	if out, err := h.try("xl", "create", cfg, "bootloader_args = [ '--entry=lost' ]"); err == nil || !strings.Contains(out, "no such file") || !strings.Contains(out, `1 "more>second"`) {
		t.Errorf("a lost kernel: %v\n%s", err, out)
	}
	out, err := h.try("xl", "create", "-v", cfg)
	if want := `boot "first" of (hd0,gpt2)/boot/grub/grub.cfg: (hd0,gpt2)/boot/hello`; err != nil || !strings.Contains(out, want) {
		t.Fatalf("%v\n%s", err, out)
	}
	first, _ := h.domain("hello")
	h.eventually("the guest runs", func() bool {
		out, _ := h.try("xenstore-ls", fmt.Sprintf("/local/domain/%d/control", first.Domid))
		return strings.Contains(out, "feature-poweroff")
	})
	f, err := os.OpenFile(img, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte("more"), int64(bytes.Index(disk, []byte("default=0   "))+len("default=")))
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	h.run("xl", "shutdown", "hello")
	h.eventually("it starts what the disk says now", func() bool {
		d, ok := h.domain("hello")
		return ok && d.Domid != first.Domid && strings.HasPrefix(d.Boot, `"more>second"`)
	})
}
