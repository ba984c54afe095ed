package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"gozen/hypervisor/guestmem"
)

// ErrNotA64 is returned (wrapped, with file and reason) for a file that is no arm64 kernel image.
var ErrNotA64 = errors.New("not an arm64 kernel image")

// The header of an arm64 Image (Linux Documentation/arch/arm64/booting.rst), and what an EFI zboot image begins with (Linux
// drivers/firmware/efi/libstub/zboot-header.S).
const (
	a64Magic      = "ARM\x64"
	a64MagicAt    = 56
	a64TextOffset = 8
	a64Size       = 16
	a64Flags      = 24
	a64Header     = 64

	a64BigEndian  = 1 << 0
	a64OldOffset  = 0x80000 // of images that do not tell their size (before Linux 3.17)
	a64MaxOffset  = 2 << 20
	zbootMagic    = "zimg"
	zbootMagicAt  = 4
	zbootPayload  = 8
	zbootLength   = 12
	zbootHeader   = 64
	headPeek      = 64
	a64Alignment  = 2 << 20
	maxZbootStart = 1 << 20
)

// A64Image is a recognised arm64 kernel: an Image as it is, compressed, or inside an EFI zboot program. It is not safe for
// concurrent use.
type A64Image struct {
	Name        string // as given to OpenA64: for messages
	Container   string // "Image", "compressed Image", "EFI zboot image"
	Compression string // "", "gzip", ...
	TextOffset  uint64 // from a 2 MiB boundary to the first byte
	Size        uint64 // bytes that the kernel needs from there, its bss included; 0 if the header does not tell
	PageKiB     int    // the kernel's page size, 0 if the header does not tell

	src    source
	closer io.Closer
}

// OpenA64File opens the kernel at path. Close it when done. Errors wrap ErrNotA64 when the file is of another kind.
func OpenA64File(path string) (*A64Image, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe without a writer must not hang the build
	if err != nil {
		return nil, fmt.Errorf("open kernel: %w; check the path in kernel=", err)
	}
	return A64FromFile(f)
}

// A64FromFile opens the kernel in f, which belongs to it from then on, also on an error.
func A64FromFile(f *os.File) (*A64Image, error) {
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("kernel %s: %w: it is a %s, not a regular file", f.Name(), ErrNotA64, fileKind(st.Mode()))
	}
	var k *A64Image
	if err == nil {
		k, err = OpenA64(f.Name(), f, st.Size())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	k.closer = f
	return k, nil
}

// OpenA64 recognises the kernel in r, size bytes long. name appears in messages. r must stay readable until Close.
func OpenA64(name string, r io.ReaderAt, size int64) (*A64Image, error) {
	k := &A64Image{Name: name}
	if err := k.open(r, size); err != nil {
		return nil, fmt.Errorf("kernel %s: %w", name, err)
	}
	return k, nil
}

// Close closes the file after OpenA64File.
func (k *A64Image) Close() error {
	if k.closer == nil {
		return nil
	}
	return k.closer.Close()
}

func (k *A64Image) open(r io.ReaderAt, size int64) error {
	if size < headPeek {
		return fmt.Errorf("%w: it has %d bytes", ErrNotA64, size)
	}
	head := make([]byte, headPeek)
	if n, err := r.ReadAt(head, 0); n < len(head) {
		return fmt.Errorf("read: %w", err)
	}
	k.Container = "Image"
	k.src = source{r: io.NewSectionReader(r, 0, size), limit: maxImage}
	switch m := compressionOf(head); {
	case isA64(head):
		return k.header(head)
	case string(head[:2]) == "MZ" && string(head[zbootMagicAt:zbootMagicAt+4]) == zbootMagic:
		if err := k.zboot(r, size, head); err != nil {
			return err
		}
	case m != "":
		k.Container, k.Compression, k.src.method = "compressed Image", m, m
	default:
		return fmt.Errorf("%w: it starts with % x", ErrNotA64, head[:8])
	}
	s, err := k.src.open()
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := io.ReadFull(s, head[:a64Header]); err != nil || !isA64(head) {
		return fmt.Errorf("%w: its %s data holds no arm64 Image", ErrNotA64, k.Compression)
	}
	return k.header(head)
}

func isA64(head []byte) bool {
	return len(head) >= a64Header && bytes.Equal(head[a64MagicAt:a64MagicAt+4], []byte(a64Magic))
}

// zboot finds the compressed Image in an EFI program that unpacks itself.
func (k *A64Image) zboot(r io.ReaderAt, size int64, head []byte) error {
	k.Container = "EFI zboot image"
	off, n := int64(le.Uint32(head[zbootPayload:])), int64(le.Uint32(head[zbootLength:]))
	if off < zbootHeader || off > maxZbootStart || n < 16 || off > size || n > size-off {
		return fmt.Errorf("%w: an EFI zboot image whose payload (%d bytes at %#x) lies outside the file of %d bytes; the file is cut off",
			ErrNotA64, n, off, size)
	}
	var magic [16]byte
	if m, err := r.ReadAt(magic[:], off); m < len(magic) {
		return fmt.Errorf("read payload: %w", err)
	}
	k.Compression = compressionOf(magic[:])
	if k.Compression == "" || k.Compression == "lzo" {
		return fmt.Errorf("%w: an EFI zboot image whose payload starts with % x, no compression supported here", ErrNotA64, magic[:8])
	}
	k.src = source{r: io.NewSectionReader(r, off, n), method: k.Compression, limit: maxImage}
	return nil
}

func (k *A64Image) header(h []byte) error {
	k.TextOffset, k.Size = le.Uint64(h[a64TextOffset:]), le.Uint64(h[a64Size:])
	flags := le.Uint64(h[a64Flags:])
	if k.Size == 0 {
		k.TextOffset = a64OldOffset
	}
	k.PageKiB = [4]int{0, 4, 16, 64}[flags>>1&3]
	switch {
	case flags&a64BigEndian != 0:
		return fmt.Errorf("%w: it is big-endian, which is not supported", ErrNotA64)
	case k.TextOffset >= a64MaxOffset || k.TextOffset%guestmem.PageSize != 0:
		return fmt.Errorf("%w: text offset %#x is impossible", ErrNotA64, k.TextOffset)
	case k.Size > maxImage:
		return fmt.Errorf("%w: it wants %d MiB (limit %d)", ErrNotA64, k.Size>>20, maxImage>>20)
	}
	return nil
}

// Load writes the kernel to mem at base, a multiple of 2 MiB, plus TextOffset, and gives its first address, which is its entry, and the
// first behind it. Memory behind the file's bytes, up to Size, is zeroed. The guest must not run yet.
func (k *A64Image) Load(mem *guestmem.Memory, base guestmem.GPA) (entry, end guestmem.GPA, err error) {
	entry = base + guestmem.GPA(k.TextOffset)
	if base%a64Alignment != 0 || entry < base {
		return 0, 0, fmt.Errorf("load kernel %s at %#x: not a multiple of 2 MiB", k.Name, uint64(base))
	}
	s, err := k.src.open()
	if err != nil {
		return 0, 0, fmt.Errorf("load kernel %s: %w", k.Name, err)
	}
	defer s.Close()
	buf := make([]byte, streamChunk)
	at := entry
	for {
		n, rerr := io.ReadFull(s, buf)
		if err := mem.Write(at, buf[:n]); err != nil {
			return 0, 0, fmt.Errorf("load kernel %s: %w", k.Name, tooSmall(err))
		}
		at += guestmem.GPA(n)
		if rerr == io.EOF || rerr == io.ErrUnexpectedEOF {
			break
		}
		if rerr != nil {
			return 0, 0, fmt.Errorf("load kernel %s: %w: its %s data cannot be unpacked, the file is damaged or cut off: %w", k.Name, ErrNotA64,
				k.Compression, rerr)
		}
	}
	end = max(at, entry+guestmem.GPA(k.Size))
	if err := zero(mem, at, uint64(end-at)); err != nil {
		return 0, 0, fmt.Errorf("load kernel %s: bss: %w", k.Name, tooSmall(err))
	}
	return entry, end, nil
}
