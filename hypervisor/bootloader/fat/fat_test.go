package fat

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"gozen/hypervisor/bootloader/imagetest"
)

var tree = map[string]string{"/EFI/Debian/grub.cfg": "configfile\n", "/a file with a name that is long.txt": imagetest.Content(5000), "/empty": "", "/d/e/f/ü": "deep"}

func open(t *testing.T, img []byte) *FS {
	t.Helper()
	f, err := Open(bytes.NewReader(img), int64(len(img)))
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
	f := open(t, imagetest.FAT(tree, "ESP"))
	if f.bits != 12 || f.UUID != "1234-ABCD" || f.Label != "ESP" {
		t.Errorf("FAT%d %q %q", f.bits, f.UUID, f.Label)
	}
	reader(f).Same(t, tree)
	reader(f).Same(t, map[string]string{"efi/DEBIAN/GRUB.CFG": tree["/EFI/Debian/grub.cfg"], "./d//e/f/ü": "deep"})
	names, err := f.List("/EFI")
	if err != nil || !slices.Equal(names, []string{"Debian"}) {
		t.Errorf("%q %v", names, err)
	}
	for _, p := range []string{"/none", "/EFI/none/x", "/empty/x"} {
		if _, err := f.Open(p); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", p, err)
		}
	}
	if _, err := f.Open("/EFI"); err == nil {
		t.Error("a folder was opened as a file")
	}
}

// TestOpen_mkfs reads what the host's programs make, of each kind.
func TestOpen_mkfs(t *testing.T) {
	for _, tool := range []string{"mkfs.vfat", "mcopy", "mmd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("it needs %s: install dosfstools and mtools", tool)
		}
	}
	for _, tt := range []struct {
		bits int
		size int64
	}{{12, 2 << 20}, {16, 20 << 20}, {32, 40 << 20}} {
		t.Run(fmt.Sprint(tt.bits), func(t *testing.T) {
			img := filepath.Join(t.TempDir(), "img")
			run := func(name string, args ...string) {
				t.Helper()
				c := exec.Command(name, args...)
				c.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
				if out, err := c.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", name, err, out)
				}
			}
			if err := os.WriteFile(img, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(img, tt.size); err != nil {
				t.Fatal(err)
			}
			run("mkfs.vfat", "-F", fmt.Sprint(tt.bits), "-s", "1", "-n", "BOOT", "-i", "1234abcd", img)
			files := map[string]string{"/loader/entries/a-long-name-6.1.0-9.conf": "title x", "/UPPER.TXT": "u", "/lower.txt": "l", "/big": imagetest.Content(300_000)}
			run("mmd", "-i", img, "::/loader", "::/loader/entries")
			for range 3 { // in pieces: files come and go between
				for p, s := range files {
					from := filepath.Join(t.TempDir(), "x")
					if err := os.WriteFile(from, []byte(s), 0o600); err != nil {
						t.Fatal(err)
					}
					run("mcopy", "-o", "-i", img, from, "::"+p)
				}
			}
			b, err := os.ReadFile(img)
			if err != nil {
				t.Fatal(err)
			}
			f := open(t, b)
			if f.bits != tt.bits || f.UUID != "1234-ABCD" || f.Label != "BOOT" {
				t.Errorf("FAT%d %q %q", f.bits, f.UUID, f.Label)
			}
			reader(f).Same(t, files)
			names, err := f.List("/")
			slices.Sort(names)
			if want := []string{"UPPER.TXT", "big", "loader", "lower.txt"}; err != nil || !slices.Equal(names, want) {
				t.Errorf("%q %v, want %q", names, err, want)
			}
		})
	}
}

// TestRead_hostile reads a chain that is a loop, and one that ends too early.
func TestRead_hostile(t *testing.T) {
	for name, next := range map[string]uint16{"loop": 2, "end": 0xfff, "outside": 0xff0} {
		img := imagetest.FAT(map[string]string{"/f": imagetest.Content(1<<20 + 1)}, "")
		at := 512 + 3 // the entry of cluster 2, the file's first
		img[at], img[at+1] = byte(next), img[at+1]&0xf0|byte(next>>8)
		file, err := open(t, img).Open("/f")
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.ReadAt(make([]byte, 1024), 0)
		if name == "loop" != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(imagetest.FAT(map[string]string{"/EFI/Debian/grub.cfg": "configfile", "/a long name": imagetest.Content(3000)}, "x")[:64<<10])
	wide := make([]byte, 64<<10)
	copy(wide, imagetest.FAT(nil, "")[:512])
	copy(wide[17:], "\x00\x00\x80\x00\xf8\x00\x00") // no root entries, 128 sectors, no size of a table
	wide[36], wide[44] = 2, 2                       // which is here
	copy(wide[512+8:], "\xff\xff\xff\x0f\xff\xff\xff\x0f")
	copy(wide[512*3:], longEntry)
	f.Add(wide)
	f.Fuzz(func(t *testing.T, b []byte) {
		fs, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		reader(fs).Walk(t, "/")
	})
}

// longEntry is a file named A in cluster 3.
const longEntry = "A       TXT\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x05\x00\x00\x00"
