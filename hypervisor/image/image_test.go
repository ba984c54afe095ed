package image

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"gozen/hypervisor/guestmem"
)

type seg struct {
	typ              uint32
	off, paddr       uint64
	filesz, memsz    uint64
	data             []byte
	overrideFileSize bool
}

// makeELF builds a 64-bit or 32-bit ELF executable.
func makeELF(bits int, segs []seg) []byte {
	lay := layouts[bits]
	out := make([]byte, lay.ehSize+lay.phSize*len(segs))
	copy(out, "\x7fELF\x02\x01\x01")
	le.PutUint16(out[16:], elfExec)
	le.PutUint16(out[18:], elfMx8664)
	cnt := out[lay.ehSize-10:]
	if bits == 64 {
		le.PutUint64(out[24:], 0x1234)
		le.PutUint64(out[32:], 64)
	} else {
		out[4] = elfClass32
		le.PutUint16(out[18:], elfM386)
		le.PutUint32(out[24:], 0x1234)
		le.PutUint32(out[28:], 52)
	}
	le.PutUint16(cnt, uint16(lay.phSize))
	le.PutUint16(cnt[2:], uint16(len(segs)))
	for i, s := range segs {
		off := s.off
		if s.data != nil {
			off = uint64(len(out))
			out = append(out, s.data...)
			if !s.overrideFileSize {
				s.filesz = uint64(len(s.data))
			}
		}
		p := out[lay.ehSize+i*lay.phSize:]
		le.PutUint32(p, s.typ)
		if bits == 64 {
			le.PutUint64(p[8:], off)
			le.PutUint64(p[24:], s.paddr)
			le.PutUint64(p[32:], s.filesz)
			le.PutUint64(p[40:], max(s.memsz, s.filesz))
		} else {
			le.PutUint32(p[4:], uint32(off))
			le.PutUint32(p[12:], uint32(s.paddr))
			le.PutUint32(p[16:], uint32(s.filesz))
			le.PutUint32(p[20:], uint32(max(s.memsz, s.filesz)))
		}
	}
	return out
}

func makeNote(owner string, typ NoteType, desc []byte) []byte {
	var b []byte
	b = le.AppendUint32(b, uint32(len(owner)+1))
	b = le.AppendUint32(b, uint32(len(desc)))
	b = le.AppendUint32(b, uint32(typ))
	b = append(append(b, owner...), 0)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	b = append(b, desc...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func sampleELF(bits int) []byte {
	text := bytes.Repeat([]byte("text of the kernel "), 40000)
	notes := append(makeNote("GNU", 3, []byte("build-id")), makeNote("Xen", NoteGuestOS, []byte("linux\x00"))...)
	notes = append(notes, makeNote("Xen", NotePhys32Entry, le.AppendUint32(nil, 0x100010))...)
	notes = append(notes, makeNote("Xen", NoteInitP2M, le.AppendUint64(nil, 0x8000000000))...)
	return makeELF(bits, []seg{
		{typ: ptLoad, paddr: 0x100000, data: text},
		{typ: ptLoad, paddr: 0x200008, data: []byte("data"), memsz: 0x3000},
		{typ: ptNote, data: notes},
	})
}

func compress(t testing.TB, method string, in []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	switch method {
	case "gzip":
		z := gzip.NewWriter(&b)
		z.Write(in)
		z.Close()
	case "zstd":
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		z.Write(in)
		z.Close()
	case "lz4":
		z := lz4.NewWriter(&b)
		if err := z.Apply(lz4.LegacyOption(true)); err != nil {
			t.Fatal(err)
		}
		z.Write(in)
		z.Close()
	default:
		cmd := exec.Command(method, "-c")
		if method == "xz" {
			cmd = exec.Command("xz", "--check=crc32", "--x86", "--lzma2=dict=32MiB", "-c")
		}
		if cmd.Err != nil {
			t.Skipf("needs the %s program: %v", method, cmd.Err)
		}
		cmd.Stdin, cmd.Stdout = bytes.NewReader(in), &b
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func makeBzImage(t testing.TB, method string, elf []byte) []byte {
	p := elf
	if method != "" {
		p = compress(t, method, elf)
		if method != "gzip" {
			p = le.AppendUint32(p, uint32(len(elf)))
		}
	}
	out := make([]byte, 3*sector+0x20)
	out[hdrSetupSects] = 2
	out[hdrBootFlag], out[hdrBootFlag+1] = 0x55, 0xaa
	copy(out[hdrMagic:], "HdrS")
	le.PutUint16(out[hdrVersion:], 0x20f)
	le.PutUint16(out[hdrKernelVersion:], 0x300)
	copy(out[0x500:], "6.1.0-test (x@y) #1\x00")
	le.PutUint32(out[hdrPayloadOffset:], 0x20)
	le.PutUint32(out[hdrPayloadLength:], uint32(len(p)))
	return append(append(out, p...), bytes.Repeat([]byte{0xcc}, 777)...)
}

func open(b []byte) (*Kernel, error) { return Open("k", bytes.NewReader(b), int64(len(b))) }

func newMem(t testing.TB, base guestmem.GPA, size uint64) *guestmem.Memory {
	t.Helper()
	m, err := guestmem.New([]guestmem.Range{{Base: base, Size: size}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestLoad(t *testing.T) {
	for _, bits := range []int{64, 32} {
		for _, method := range []string{"elf", "", "gzip", "zstd", "lz4", "xz", "bzip2", "lzma"} {
			t.Run(fmt.Sprint(bits, method), func(t *testing.T) {
				elf := sampleELF(bits)
				file := elf
				if method != "elf" {
					file = makeBzImage(t, method, elf)
				}
				k, err := open(file)
				if err != nil {
					t.Fatal(err)
				}
				defer k.Close()
				if k.Bits != bits || k.Entry != 0x1234 || len(k.Segments) != 2 {
					t.Errorf("got %d bits, entry %#x, %d segments", k.Bits, k.Entry, len(k.Segments))
				}
				if method != "elf" && (k.Container != ContainerBzImage || k.Compression != method || k.Version != "6.1.0-test (x@y) #1") {
					t.Errorf("got %v %q %q", k.Container, k.Compression, k.Version)
				}
				for pass := range 2 {
					checkLoad(t, k, elf, pass)
				}
			})
		}
	}
}

func checkLoad(t *testing.T, k *Kernel, elf []byte, pass int) {
	m := newMem(t, 0, 4<<20)
	dirt := bytes.Repeat([]byte{0xff}, 0x5000)
	if err := m.Write(0x200000, dirt); err != nil {
		t.Fatal(err)
	}
	end, err := k.Load(m)
	if err != nil {
		t.Fatal(err)
	}
	if end != 0x203008 {
		t.Errorf("pass %d: end %#x", pass, end)
	}
	s := k.Segments[0]
	got := make([]byte, s.FileSize)
	if err := m.Read(s.Phys, got); err != nil || !bytes.Equal(got, elf[s.Offset:s.Offset+s.FileSize]) {
		t.Errorf("pass %d: segment 0 differs (%v)", pass, err)
	}
	got = make([]byte, 0x5000)
	m.Read(0x200000, got)
	want := bytes.Clone(dirt)
	copy(want[8:], append([]byte("data"), make([]byte, 0x3000-4)...))
	if !bytes.Equal(got, want) {
		t.Errorf("pass %d: data and bss differ", pass)
	}
	n, err := k.Notes()
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := n.Uint(NotePhys32Entry); !ok || v != 0x100010 {
		t.Errorf("PHYS32_ENTRY %#x %v", v, ok)
	}
	if v, ok := n.Uint(NoteInitP2M); !ok || v != 0x8000000000 {
		t.Errorf("INIT_P2M %#x %v", v, ok)
	}
	if s, ok := n.Text(NoteGuestOS); !ok || s != "linux" || n.Has(NoteLoader) {
		t.Errorf("GUEST_OS %q %v", s, ok)
	}
}

func TestNotes_beforeLoad(t *testing.T) {
	k, err := open(makeBzImage(t, "lz4", sampleELF(64)))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := k.Notes(); err != nil || len(n) != 3 {
		t.Fatal(n, err)
	}
	checkLoad(t, k, sampleELF(64), 0)
}

func TestCompressedELF(t *testing.T) {
	elf := sampleELF(64)
	k, err := open(compress(t, "gzip", elf))
	if err != nil {
		t.Fatal(err)
	}
	if k.Container != ContainerCompressed {
		t.Error(k.Container)
	}
	checkLoad(t, k, elf, 0)
}

func TestOpen_errors(t *testing.T) {
	elf := sampleELF(64)
	edit := func(f func(b []byte)) []byte { b := bytes.Clone(elf); f(b); return b }
	seg64 := func(s ...seg) []byte { return makeELF(64, s) }
	arm := make([]byte, 4096)
	copy(arm[0x38:], "ARM\x64")
	bz := makeBzImage(t, "gzip", elf)
	old := bytes.Clone(bz)
	le.PutUint16(old[hdrVersion:], 0x205)
	huge := makeBzImage(t, "zstd", elf)
	le.PutUint32(huge[3*sector+0x20+len(huge[3*sector+0x20:])-777-4:], 0xffffffff)
	lzo := makeBzImage(t, "", append([]byte("\x89LZO\x00\x0d\x0a\x1a\x0a"), elf...))
	var many []seg
	for i := range 70 {
		many = append(many, seg{typ: ptLoad, paddr: uint64(i) << 12, memsz: 1})
	}
	tests := []struct {
		name, want string
		file       []byte
	}{
		{"empty", "empty", nil},
		{"text", "starts with 68 65", []byte("hello world, I am no kernel")},
		{"cpio", "ramdisk=", []byte("070701000000000")},
		{"qcow2", "disk=", []byte("QFI\xfb0000000000")},
		{"arm64 Image", "arm64", arm},
		{"script", "script", []byte("#!/bin/sh\n")},
		{"ELF cut in header", "cut off", elf[:40]},
		{"ELF class", "class 9", edit(func(b []byte) { b[4] = 9 })},
		{"big-endian", "big-endian", edit(func(b []byte) { b[5] = 2 })},
		{"arm64 ELF", "arm64", edit(func(b []byte) { le.PutUint16(b[18:], 183) })},
		{"riscv ELF", "machine 243", edit(func(b []byte) { le.PutUint16(b[18:], 243) })},
		{"module", "type 1", edit(func(b []byte) { le.PutUint16(b[16:], 1) })},
		{"no headers", "no program headers", edit(func(b []byte) { le.PutUint16(b[56:], 0) })},
		{"headers far away", "outside", edit(func(b []byte) { le.PutUint64(b[32:], ^uint64(0)-8) })},
		{"no segments", "no loadable", seg64(seg{typ: ptNote, data: []byte{0}})},
		{"file beyond memory", "impossible", edit(func(b []byte) { le.PutUint64(b[64+40:], 1) })},
		{"offset overflow", "impossible", seg64(seg{typ: ptLoad, off: ^uint64(0), filesz: 2})},
		{"address overflow", "impossible", seg64(seg{typ: ptLoad, paddr: ^uint64(0) - 10, memsz: 100})},
		{"huge bss", "impossible", seg64(seg{typ: ptLoad, memsz: 1 << 50})},
		{"overlap", "overlap", seg64(seg{typ: ptLoad, paddr: 0x1000, memsz: 0x1001}, seg{typ: ptLoad, paddr: 0x2000, memsz: 1})},
		{"many segments", "more than 64", seg64(many...)},
		{"huge notes", "notes", seg64(seg{typ: ptNote, filesz: 1 << 40}, seg{typ: ptLoad, memsz: 1})},
		{"notes behind end", "behind its end", seg64(seg{typ: ptNote, off: 1 << 20, filesz: 64}, seg{typ: ptLoad, memsz: 1})},
		{"old bzImage", "2.05", old},
		{"cut bzImage", "cut off", bz[:len(bz)-1000]},
		{"huge payload", "claims", huge},
		{"lzo", "lzo", lzo},
		{"gzip of text", "not ELF", compress(t, "gzip", []byte("hello"))},
		{"broken gzip", "damaged", []byte("\x1f\x8b\x08\x00garbage garbage garbage")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := open(tt.file)
			if err == nil {
				k.Close()
				t.Fatal("no error")
			}
			if !errors.Is(err, ErrNotKernel) || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "kernel k: ") {
				t.Errorf("got %q, want it to mention %q", err, tt.want)
			}
		})
	}
}

func TestLoad_errors(t *testing.T) {
	big := sampleELF(64)
	short := makeELF(64, []seg{{typ: ptLoad, data: make([]byte, 100), filesz: 1 << 20, overrideFileSize: true}})
	corrupt := makeBzImage(t, "gzip", append(big, make([]byte, 2<<20)...))
	corrupt[len(corrupt)-777-6] ^= 0xff
	lying := makeBzImage(t, "lz4", big)
	at := len(lying) - 777 - 4
	le.PutUint32(lying[at:], le.Uint32(lying[at:])+1)
	bomb := makeBzImage(t, "lz4", append(bytes.Clone(big), make([]byte, 4<<20)...))
	le.PutUint32(bomb[len(bomb)-777-4:], uint32(len(big)))
	tests := []struct {
		name, want string
		file       []byte
		mem        uint64
	}{
		{"memory too small", "memory=", big, 1 << 20},
		{"bss outside memory", "memory=", big, 2<<20 + 0x1000},
		{"segment cut off", "cut off", short, 4 << 20},
		{"checksum", "damaged", corrupt, 4 << 20},
		{"shorter than it says", "missing", lying, 4 << 20},
		{"longer than it says", "more than it says", bomb, 4 << 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := open(tt.file)
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			if _, err = k.Load(newMem(t, 0, tt.mem)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to mention %q", err, tt.want)
			}
		})
	}
}

func TestOpenFile_errors(t *testing.T) {
	if _, err := OpenFile(filepath.Join(t.TempDir(), "nope")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := OpenFile(t.TempDir()); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Error(err)
	}
}

// TestLoad_stockKernels loads the kernels found under the folder named by GOZEN_KERNELS (NAME/vmlinuz).
func TestLoad_stockKernels(t *testing.T) {
	dir := os.Getenv("GOZEN_KERNELS")
	files, _ := filepath.Glob(filepath.Join(dir, "*", "vmlinuz"))
	if dir == "" || len(files) == 0 {
		t.Skip("needs stock kernels as NAME/vmlinuz under the folder named by GOZEN_KERNELS")
	}
	for _, f := range files {
		t.Run(filepath.Base(filepath.Dir(f)), func(t *testing.T) {
			if a, err := OpenA64File(f); err == nil {
				t.Logf("arm64: %s %s, %d bytes", a.Container, a.Compression, a.Size)
				_ = a.Close()
				return
			}
			k, err := OpenFile(f)
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			end, err := k.Load(newMem(t, 0, 256<<20))
			if err != nil {
				t.Fatal(err)
			}
			n, err := k.Notes()
			if err != nil {
				t.Fatal(err)
			}
			entry, ok := n.Uint(NotePhys32Entry)
			os, _ := n.Text(NoteGuestOS)
			if f == filepath.Join(dir, "i386-6.1", "vmlinuz") { // Linux's Xen support for 32 bits needs PAE
				if ok || os != "" {
					t.Errorf("entry %#x, os %q in a kernel without CONFIG_XEN", entry, os)
				}
			} else if !ok || entry < 0x1000000 || os != "linux" {
				t.Errorf("entry %#x, os %q", entry, os)
			}
			t.Logf("%s %s: %s, end %#x, entry %#x, hypercall page %v", k.Container, k.Compression, k.Version, end, entry, n.Has(NoteHypercallPage))
			for _, s := range k.Segments {
				t.Logf("  %#x %#x -> %#x (%#x)", s.Offset, s.FileSize, s.Phys, s.MemSize)
			}
			for _, x := range n {
				t.Logf("  %v % x", x.Type, x.Desc)
			}
		})
	}
}
