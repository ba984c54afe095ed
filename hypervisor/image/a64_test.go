package image

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gozen/hypervisor/guestmem"
)

// makeA64 makes an Image of text bytes that wants size bytes.
func makeA64(text int, offset, size, flags uint64) []byte {
	b := bytes.Repeat([]byte{0x55}, text)
	copy(b, "MZ\x40\xfa")
	le.PutUint64(b[a64TextOffset:], offset)
	le.PutUint64(b[a64Size:], size)
	le.PutUint64(b[a64Flags:], flags)
	copy(b[a64MagicAt:], a64Magic)
	return b
}

func gz(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// makeZboot wraps a payload as an EFI zboot program.
func makeZboot(payload []byte) []byte {
	b := make([]byte, 256, 256+len(payload))
	copy(b, "MZ\x00\x00zimg")
	le.PutUint32(b[zbootPayload:], 256)
	le.PutUint32(b[zbootLength:], uint32(len(payload)))
	copy(b[24:], "gzip")
	return append(b, payload...)
}

func TestOpenA64_containers(t *testing.T) {
	img := makeA64(5000, 0, 0x4000, 0xa)
	for _, tt := range []struct {
		name, container, method string
		file                    []byte
	}{{"plain", "Image", "", img}, {"gzip", "compressed Image", "gzip", gz(t, img)}, {"zboot", "EFI zboot image", "gzip", makeZboot(gz(t, img))}} {
		k, err := OpenA64(tt.name, bytes.NewReader(tt.file), int64(len(tt.file)))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if k.Container != tt.container || k.Compression != tt.method || k.Size != 0x4000 || k.PageKiB != 4 || k.TextOffset != 0 {
			t.Errorf("%s: %+v", tt.name, k)
		}
		const base = 0x40000000
		m, err := guestmem.New([]guestmem.Range{{Base: base, Size: 4 << 20}})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := m.Write(base+5000, []byte("stale")); err != nil {
			t.Fatal(err)
		}
		entry, end, err := k.Load(m, base)
		if err != nil || entry != base || end != base+0x4000 {
			t.Fatalf("%s: %#x to %#x, %v", tt.name, uint64(entry), uint64(end), err)
		}
		got := make([]byte, 0x4000)
		if err := m.Read(base, got); err != nil || !bytes.Equal(got[:5000], img) || !bytes.Equal(got[5000:], make([]byte, 0x4000-5000)) {
			t.Errorf("%s: memory differs, %v", tt.name, err)
		}
	}
}

func TestOpenA64_offsets(t *testing.T) {
	for _, tt := range []struct{ offset, size, wantOffset uint64 }{{0x80000, 0x10000, 0x80000}, {0, 0, a64OldOffset}, {0x1ff000, 1, 0x1ff000}} {
		b := makeA64(100, tt.offset, tt.size, 0)
		k, err := OpenA64("x", bytes.NewReader(b), int64(len(b)))
		if err != nil || k.TextOffset != tt.wantOffset {
			t.Errorf("offset %#x: %+v, %v", tt.offset, k, err)
		}
	}
}

func TestOpenA64_refuses(t *testing.T) {
	good := makeA64(5000, 0, 0x4000, 0xa)
	cut := makeZboot(gz(t, good))
	far := makeZboot(gz(t, good))
	le.PutUint32(far[zbootPayload:], 0xffffff00)
	for _, tt := range []struct {
		name, want string
		file       []byte
	}{
		{"empty", "0 bytes", nil}, {"short", "10 bytes", good[:10]},
		{"text", "starts with", []byte(strings.Repeat("hello", 100))},
		{"big-endian", "big-endian", makeA64(100, 0, 1, 1)},
		{"offset", "text offset", makeA64(100, 2<<20, 1, 0)}, {"odd offset", "text offset", makeA64(100, 5, 1, 0)},
		{"huge", "MiB", makeA64(100, 0, 1<<40, 0)},
		{"gzip of something else", "holds no arm64 Image", append(gz(t, []byte(strings.Repeat("hello", 100))), make([]byte, 64)...)},
		{"gzip cut off", "holds no arm64 Image", append(gz(t, good)[:20], make([]byte, 64)...)},
		{"zboot cut off", "cut off", cut[:len(cut)-4]}, {"zboot outside", "cut off", far},
		{"zboot unknown", "no compression", makeZboot(bytes.Repeat([]byte("?"), 64))},
	} {
		k, err := OpenA64(tt.name, bytes.NewReader(tt.file), int64(len(tt.file)))
		if !errors.Is(err, ErrNotA64) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %+v, %v", tt.name, k, err)
		}
	}
	if _, err := OpenA64File(filepath.Join(t.TempDir(), "no")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := OpenA64File(t.TempDir()); !errors.Is(err, ErrNotA64) {
		t.Error(err)
	}
}

func TestA64Load_errors(t *testing.T) {
	m, err := guestmem.New([]guestmem.Range{{Base: 0x40000000, Size: 1 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	img := makeA64(5000, 0, 0x4000, 0)
	damaged := gz(t, makeA64(100_000, 0, 0x20000, 0))
	damaged = damaged[:len(damaged)-30]
	for _, tt := range []struct {
		name, want string
		file       []byte
		base       guestmem.GPA
	}{{"unaligned", "2 MiB", img, 0x40001000}, {"no memory", "memory=", img, 0x80000000}, {"bss too large", "memory=", makeA64(100, 0, 2<<20, 0), 0x40000000},
		{"cut off", "damaged", damaged, 0x40000000}} {
		k, err := OpenA64(tt.name, bytes.NewReader(tt.file), int64(len(tt.file)))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if _, _, err := k.Load(m, tt.base); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func FuzzOpenA64(f *testing.F) {
	img := makeA64(300, 0, 0x4000, 0xa)
	f.Add(img)
	f.Add(gz(f, img))
	f.Add(makeZboot(gz(f, img)))
	f.Add(makeA64(100, 0x80000, 0, 0))
	mem, err := guestmem.New([]guestmem.Range{{Base: 0x40000000, Size: 1 << 20}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(mem.Close)
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := OpenA64("fuzz", bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if entry, end, err := k.Load(mem, 0x40000000); err == nil && (entry < 0x40000000 || end < entry) {
			t.Fatalf("%#x to %#x", uint64(entry), uint64(end))
		}
	})
}
