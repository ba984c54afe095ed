package ext4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gozen/hypervisor/bootloader/imagetest"
)

func open(t *testing.T, img io.ReaderAt, size int64) *FS {
	t.Helper()
	f, err := Open(img, size)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// reader is what imagetest reads by.
func reader(f *FS) imagetest.Reader {
	return imagetest.Reader{List: f.List, Open: func(path string) (io.ReaderAt, int64, error) {
		file, err := f.Open(path)
		if err != nil {
			return nil, 0, err
		}
		return file, file.Size, nil
	}}
}

func TestOpen(t *testing.T) {
	files := map[string]string{"/boot/vmlinuz": imagetest.Content(200_000), "/empty": "", "/small": "x", "/holes": strings.Repeat("\x00", 20_000) + "end", "/boot/grub/grub.cfg": "set"}
	for i := range 60 {
		files[fmt.Sprintf("/many/%s%d", strings.Repeat("n", 40), i)] = fmt.Sprint(i)
	}
	all := map[string]string{"/to": imagetest.Link + "boot/vmlinuz", "/boot/up": imagetest.Link + "../to", "/boot/abs": imagetest.Link + "/boot/grub",
		"/self": imagetest.Link + "self", "/long": imagetest.Link + strings.Repeat("./", 50) + "small", "/out": imagetest.Link + "../../../small"}
	for p, s := range files {
		all[p] = s
	}
	b := imagetest.Ext2(all, "root")
	f := open(t, bytes.NewReader(b), int64(len(b)))
	if f.Kind != "ext2" || f.Label != "root" || f.UUID != "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee" {
		t.Errorf("%s %q %s", f.Kind, f.Label, f.UUID)
	}
	reader(f).Same(t, files)
	reader(f).Same(t, map[string]string{"to": files["/boot/vmlinuz"], "/boot/up": files["/boot/vmlinuz"], "boot/abs/grub.cfg": "set", "/long": "x", "/out": "x", "/many/../small": "x"})
	for p, want := range map[string]string{"/self": "too many symbolic links", "/none": "no such file", "/small/x": "no such file", "/boot": "not a regular file",
		"/" + strings.Repeat("x", 300): "no such file", strings.Repeat("/boot/..", 2000): "too long"} {
		if _, err := f.Open(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: %v, want %s", p, err, want)
		}
	}
	names, err := f.List("/boot/abs")
	if err != nil || !slices.Equal(names, []string{"grub.cfg"}) {
		t.Errorf("%q %v", names, err)
	}
}

// TestOpen_mke2fs reads what mke2fs makes, in many kinds.
func TestOpen_mke2fs(t *testing.T) {
	if _, err := exec.LookPath("mke2fs"); err != nil {
		t.Skip("it needs mke2fs: install e2fsprogs")
	}
	src := t.TempDir()
	files := map[string]string{"/boot/vmlinuz-6.1": imagetest.Content(3 << 20), "/boot/grub/grub.cfg": imagetest.Content(150), "/empty": "", "/tiny": "tiny", "/d/e/f/g": "deep", "/mid": imagetest.Content(40_000)}
	for i := range 2500 {
		files[fmt.Sprintf("/many/%s%d", strings.Repeat("name", 8), i)] = ""
	}
	for p, s := range files {
		if err := os.MkdirAll(filepath.Dir(src+p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(src+p, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sparse := make([]byte, 700_000)
	copy(sparse[333_333:], "middle")
	copy(sparse[len(sparse)-3:], "end")
	files["/sparse"] = string(sparse)
	if out, err := exec.Command("sh", "-c", "cd "+src+" && truncate -s 700000 sparse && printf middle | dd of=sparse bs=1 seek=333333 conv=notrunc && printf end | dd of=sparse bs=1 seek=699997 conv=notrunc").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for to, from := range map[string]string{"vmlinuz": "boot/vmlinuz-6.1", "a": "/boot", strings.Repeat("l", 100): strings.Repeat("./", 100) + "tiny"} {
		if err := os.Symlink(from, filepath.Join(src, to)); err != nil {
			t.Fatal(err)
		}
	}
	files["/vmlinuz"], files["/a/grub/grub.cfg"], files["/"+strings.Repeat("l", 100)] = files["/boot/vmlinuz-6.1"], files["/boot/grub/grub.cfg"], "tiny"
	for name, opts := range map[string][]string{
		"ext4": {"-t", "ext4"}, "ext4-1k": {"-t", "ext4", "-b", "1024"}, "ext4-64k": {"-t", "ext4", "-b", "65536"}, "inline": {"-t", "ext4", "-O", "inline_data", "-I", "256"},
		"32bit": {"-t", "ext4", "-O", "^64bit,^flex_bg"}, "meta_bg": {"-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode", "-g", "1024"},
		"sparse2": {"-t", "ext4", "-O", "sparse_super2,meta_bg,^resize_inode", "-b", "1024", "-g", "1024"},
		"ext3":    {"-t", "ext3"}, "ext2": {"-t", "ext2"}, "ext2-1k": {"-t", "ext2", "-b", "1024"}, "ext2-rev0": {"-t", "ext2", "-r", "0", "-b", "1024", "-O", "none"}, "big-inodes": {"-t", "ext4", "-I", "1024"},
	} {
		t.Run(name, func(t *testing.T) {
			img := filepath.Join(t.TempDir(), "img")
			args := append([]string{"-q", "-F", "-L", "root", "-U", "6f7a656e-0000-4000-8000-000000000001", "-N", "4096", "-d", src}, opts...)
			size := "40M"
			if name == "ext4-64k" {
				size = "400M"
			}
			if out, err := exec.Command("mke2fs", append(args, img, size)...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			r, err := os.Open(img)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			st, _ := r.Stat()
			f := open(t, r, st.Size())
			if f.Kind != name[:4] && strings.HasPrefix(name, "ext") || f.Label != "root" || f.UUID != "6f7a656e-0000-4000-8000-000000000001" {
				t.Errorf("%s %q %s", f.Kind, f.Label, f.UUID)
			}
			few := map[string]string{}
			for p, s := range files {
				if !strings.HasPrefix(p, "/many/") || strings.HasSuffix(p, "99") {
					few[p] = s
				}
			}
			reader(f).Same(t, few)
			names, err := f.List("/many")
			if err != nil || len(names) != 2500 {
				t.Errorf("%d names, %v", len(names), err)
			}
		})
	}
}

// TestOpen_hostile reads file systems that lie.
func TestOpen_hostile(t *testing.T) {
	for name, change := range map[string]func(b []byte){
		"block size": func(b []byte) { b[1024+0x18] = 60 }, "groups": func(b []byte) { clear(b[1024+0x28 : 1024+0x2c]) },
		"inode size": func(b []byte) { b[1024+0x59] = 0xff }, "feature": func(b []byte) { b[1024+0x60] = 1 },
		"table": func(b []byte) { binary.LittleEndian.PutUint32(b[2048+8:], 0xffffffff) }, "root": func(b []byte) { clear(b[5*1024+128:][:128]) },
		"directory": func(b []byte) { // a directory without an end
			i := b[5*1024+128:]
			binary.LittleEndian.PutUint32(i[4:], 0x7fffffff)
		},
		"entry": func(b []byte) { // of no length
			block := binary.LittleEndian.Uint32(b[5*1024+128+0x28:])
			clear(b[block*1024+4:][:2])
		},
	} {
		b := imagetest.Ext2(map[string]string{"/f": "x"}, "")
		change(b)
		f, err := Open(bytes.NewReader(b), int64(len(b)))
		if err == nil {
			_, err = f.Open("/f")
		}
		if err == nil || errors.Is(err, ErrNot) || errors.Is(err, ErrNotFound) && name != "root" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// extents makes the file /f of an image one with extents, whose root is given.
func extents(root []byte, size uint32) []byte {
	b := imagetest.Ext2(map[string]string{"/f": "x"}, "")
	i := b[5*1024+10*128:] // inode 11
	binary.LittleEndian.PutUint32(i[4:], size)
	binary.LittleEndian.PutUint32(i[0x20:], flagExtents)
	clear(i[0x28:0x64])
	copy(i[0x28:], root)
	return b
}

// TestExtents_hostile reads trees that lead round in circles, and extents that are nowhere.
func TestExtents_hostile(t *testing.T) {
	head := func(count, depth uint16) []byte {
		b := binary.LittleEndian.AppendUint16(nil, extentMagic)
		b = binary.LittleEndian.AppendUint16(b, count)
		b = binary.LittleEndian.AppendUint16(b, 4)
		b = binary.LittleEndian.AppendUint16(b, depth)
		return append(b, 0, 0, 0, 0)
	}
	leaf := func(from uint32, n uint16, block uint32) []byte {
		b := binary.LittleEndian.AppendUint32(nil, from)
		b = binary.LittleEndian.AppendUint16(b, n)
		b = append(b, 0, 0)
		return binary.LittleEndian.AppendUint32(b, block)
	}
	index := func(from, block uint32) []byte {
		b := binary.LittleEndian.AppendUint32(nil, from)
		b = binary.LittleEndian.AppendUint32(b, block)
		return append(b, 0, 0, 0, 0)
	}
	for name, tt := range map[string]struct {
		root []byte
		ok   bool
	}{
		"good": {append(head(1, 0), leaf(0, 2, 1)...), true}, "hole": {append(head(1, 0), leaf(9, 2, 1)...), true}, "empty": {head(0, 0), true},
		"unwritten": {append(head(1, 0), leaf(0, unwritten+4, 1)...), true}, "far": {append(head(1, 0), leaf(0, 2, 0x7fffffff)...), false},
		"many": {head(400, 0), false}, "deep": {append(head(1, 9), index(0, 1)...), false}, "not a node": {append(head(1, 1), index(0, 1)...), false},
		"far node": {append(head(1, 1), index(0, 0xffffffff)...), false},
	} {
		b := extents(tt.root, 2048)
		f := open(t, bytes.NewReader(b), int64(len(b)))
		file, err := f.Open("/f")
		if err != nil {
			t.Fatal(err)
		}
		if _, err = file.ReadAt(make([]byte, 2048), 0); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A node that is its own child ends with the depth.
	b := extents(append(head(1, 5), index(0, 0)...), 2048)
	self := uint32(len(b) / 1024)
	b = append(b, make([]byte, 1024)...)
	copy(b[self*1024:], append(head(1, 4), index(0, self)...))
	binary.LittleEndian.PutUint32(b[5*1024+10*128+0x28+16:], self)
	f := open(t, bytes.NewReader(b), int64(len(b)))
	file, err := f.Open("/f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.ReadAt(make([]byte, 8), 0); !errors.Is(err, errExtents) {
		t.Errorf("a loop: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(imagetest.Ext2(map[string]string{"/boot/grub/grub.cfg": "set x=y", "/k": imagetest.Content(14_000), "/l": imagetest.Link + "boot"}, "root"))
	f.Add(extents([]byte{0x0a, 0xf3, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0}, 2048))
	if _, err := exec.LookPath("mke2fs"); err == nil {
		src := f.TempDir()
		_ = os.Mkdir(filepath.Join(src, "d"), 0o755)
		_ = os.WriteFile(filepath.Join(src, "d", "f"), []byte(imagetest.Content(5000)), 0o600)
		_ = os.WriteFile(filepath.Join(src, "inline"), []byte("inline data of a file that has more than fits into the block map of its inode, and so goes on behind"), 0o600)
		img := filepath.Join(f.TempDir(), "img")
		for _, features := range []string{"^has_journal,^resize_inode,inline_data", "^has_journal,^resize_inode,meta_bg"} {
			os.Remove(img)
			if out, err := exec.Command("mke2fs", "-q", "-t", "ext4", "-b", "1024", "-I", "256", "-N", "16", "-O", features, "-d", src, img, "100k").CombinedOutput(); err != nil {
				f.Fatalf("%v\n%s", err, out)
			}
			b, err := os.ReadFile(img)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fs, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		reader(fs).Walk(t, "/")
	})
}
