package modules

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
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

func TestDepends(t *testing.T) {
	tests := []struct {
		in   []byte
		want []string
		bad  bool
	}{
		{module("license=GPL", "depends=kvm,irqbypass", "name=x"), []string{"kvm", "irqbypass"}, false},
		{module("depends=", "name=x"), nil, false},
		{module("name=x"), nil, false},
		{[]byte("no module"), nil, true},
		{nil, nil, true},
	}
	for _, tt := range tests {
		got, err := Depends(tt.in)
		if d := cmp.Diff(tt.want, got); d != "" || (err != nil) != tt.bad {
			t.Errorf("%.40q: %v %s", tt.in, err, d)
		}
	}
}

func TestOrder(t *testing.T) {
	needs := map[string][]string{"irqbypass": nil, "kvm": {"irqbypass"}, "kvm_amd": {"kvm", "ccp"}, "ccp": nil, "a": {"b"}, "b": {"c"}, "c": {"a"}}
	depends := func(n string) ([]string, error) {
		d, ok := needs[n]
		if !ok {
			return nil, ErrMissing
		}
		return d, nil
	}
	got, err := Order([]string{"kvm-amd", "kvm", "irqbypass"}, depends)
	if d := cmp.Diff([]string{"irqbypass", "kvm", "ccp", "kvm_amd"}, got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if _, err := Order([]string{"a"}, depends); err == nil || !strings.Contains(err.Error(), "a -> b -> c -> a") {
		t.Error(err)
	}
	if _, err := Order([]string{"kvm", "none"}, depends); !errors.Is(err, ErrMissing) {
		t.Error(err)
	}
}

// TestLoad reads a tree of modules, packed and not, some of which the kernel has built in.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, content []byte) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, _ = w.Write(module("depends=libata,scsi-mod"))
	_ = w.Close()
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	put("kernel/drivers/ata/ata_piix.ko.gz", gz.Bytes())
	put("kernel/drivers/ata/libata.ko.zst", e.EncodeAll(module("depends=scsi-mod"), nil))
	put("kernel/drivers/net/xen-netfront.ko", module("depends="))
	put("kernel/drivers/bad.ko.xz", []byte("no xz"))
	put("modules.builtin", []byte("kernel/drivers/scsi/scsi_mod.ko\nkernel/drivers/block/xen-blkfront.ko\n"))
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Load("xen-blkfront", "ata_piix", "xen_netfront")
	if err != nil || len(got) != 3 || got[0].Name != "libata" || got[1].Name != "ata_piix" || got[2].Name != "xen_netfront" {
		t.Errorf("%+v %v", got, err)
	}
	for _, m := range got {
		if !bytes.HasPrefix(m.Content, []byte("\x7fELF")) {
			t.Errorf("%s begins with %q", m.Name, m.Content[:4])
		}
	}
	if _, err := d.Load("none"); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "none in "+dir) {
		t.Errorf("%v", err)
	}
	if _, err := d.Load("bad"); err == nil || !strings.Contains(err.Error(), "bad.ko.xz") {
		t.Errorf("%v", err)
	}
	if _, err := Open(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a folder that is not there")
	}
}
