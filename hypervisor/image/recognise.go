package image

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Linux/x86 boot protocol: offsets in the setup header (Documentation/arch/x86/boot.rst).
const (
	hdrSetupSects    = 0x1f1
	hdrBootFlag      = 0x1fe
	hdrMagic         = 0x202
	hdrVersion       = 0x206
	hdrKernelVersion = 0x20e
	hdrPayloadOffset = 0x248
	hdrPayloadLength = 0x24c
	hdrEnd           = 0x250
	minBootProtocol  = 0x0208 // the first with payload_offset
	sector           = 512
)

// recognise finds out what r holds and sets up k.src to read the ELF image in it.
func (k *Kernel) recognise(r io.ReaderAt, size int64) error {
	head := make([]byte, min(max(size, 0), 4096))
	if n, err := r.ReadAt(head, 0); n < len(head) {
		return fmt.Errorf("read: %w", err)
	}
	if size <= 0 {
		return fmt.Errorf("%w: the file is empty", ErrNotKernel)
	}
	if len(head) >= hdrEnd && string(head[hdrMagic:hdrMagic+4]) == "HdrS" && le.Uint16(head[hdrBootFlag:]) == 0xaa55 {
		return k.bzImage(r, size, head)
	}
	if bytes.HasPrefix(head, []byte("\x7fELF")) {
		k.src = source{r: io.NewSectionReader(r, 0, size), limit: maxImage}
		return nil
	}
	if m := compressionOf(head); m != "" {
		k.Container, k.Compression = ContainerCompressed, m
		k.src = source{r: io.NewSectionReader(r, 0, size), method: m, limit: maxImage}
		return nil
	}
	return fmt.Errorf("%w: %s", ErrNotKernel, guess(head))
}

// bzImage locates the compressed payload of a Linux kernel.
func (k *Kernel) bzImage(r io.ReaderAt, size int64, head []byte) error {
	k.Container = ContainerBzImage
	k.Version = kernelVersion(r, head)
	if v := le.Uint16(head[hdrVersion:]); v < minBootProtocol {
		return fmt.Errorf("%w: bzImage of boot protocol %d.%02d, older than 2.08 (Linux 2.6.24): the kernel inside cannot be found; use its vmlinux",
			ErrNotKernel, v>>8, v&0xff)
	}
	sects := int64(head[hdrSetupSects])
	if sects == 0 {
		sects = 4
	}
	off := (sects+1)*sector + int64(le.Uint32(head[hdrPayloadOffset:]))
	n := int64(le.Uint32(head[hdrPayloadLength:]))
	if n < 8 || off > size || n > size-off {
		return fmt.Errorf("%w: bzImage whose payload (%d bytes at %#x) lies outside the file of %d bytes; the file is cut off",
			ErrNotKernel, n, off, size)
	}
	payload := io.NewSectionReader(r, off, n)
	var magic [16]byte
	if m, err := payload.ReadAt(magic[:], 0); m < 8 {
		return fmt.Errorf("read payload: %w", err)
	}
	k.Compression = compressionOf(magic[:])
	switch k.Compression {
	case "":
		if !bytes.HasPrefix(magic[:], []byte("\x7fELF")) {
			return fmt.Errorf("%w: bzImage whose payload starts with % x, no compression known here", ErrNotKernel, magic[:8])
		}
		k.src = source{r: payload, limit: maxImage}
		return nil
	case "lzo":
		return fmt.Errorf("%w: bzImage compressed with lzo, which is not supported; build it with gzip, bzip2, lzma, xz, lz4 or zstd, or use its vmlinux",
			ErrNotKernel)
	}
	// The build appends the unpacked size, except for gzip, which ends with it anyway (RFC 1952).
	var tail [4]byte
	if m, err := payload.ReadAt(tail[:], n-4); m < 4 {
		return fmt.Errorf("read payload: %w", err)
	}
	want := uint64(le.Uint32(tail[:]))
	if want == 0 || want > maxImage {
		return fmt.Errorf("%w: bzImage that claims to unpack to %d bytes (limit %d)", ErrNotKernel, want, maxImage)
	}
	if k.Compression != "gzip" {
		payload = io.NewSectionReader(r, off, n-4)
	}
	k.src = source{r: payload, method: k.Compression, limit: int64(want), exact: true}
	return nil
}

func kernelVersion(r io.ReaderAt, head []byte) string {
	p := int64(le.Uint16(head[hdrKernelVersion:]))
	if p == 0 {
		return ""
	}
	var b [128]byte
	n, _ := r.ReadAt(b[:], p+sector)
	s, _, _ := strings.Cut(string(b[:n]), "\x00")
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return -1
		}
		return c
	}, s)
}

// magics are the first bytes of the formats Linux compresses its payload with (lib/decompress.c).
var magics = []struct{ prefix, method string }{
	{"\x1f\x8b", "gzip"},
	{"\xfd7zXZ\x00", "xz"},
	{"\x02\x21\x4c\x18", "lz4"},
	{"\x28\xb5\x2f\xfd", "zstd"},
	{"BZh", "bzip2"},
	{"\x5d\x00\x00", "lzma"},
	{"\x89LZO\x00\x0d\x0a\x1a\x0a", "lzo"},
}

func compressionOf(b []byte) string {
	for _, m := range magics {
		if bytes.HasPrefix(b, []byte(m.prefix)) {
			return m.method
		}
	}
	return ""
}

// guess names what a file that is no kernel seems to be.
func guess(b []byte) string {
	has := func(off int, s string) bool { return len(b) >= off+len(s) && string(b[off:off+len(s)]) == s }
	switch {
	case has(0x38, "ARM\x64"):
		return "an arm64 Image; it needs an arm64 host"
	case has(0, "070701"), has(0, "070702"):
		return "a cpio archive; is this the initramfs, meant for ramdisk=?"
	case has(0, "QFI\xfb"):
		return "a qcow2 disk image, meant for disk=?"
	case has(0, "#!"):
		return "a script"
	case has(0x8001, "CD001"):
		return "an ISO 9660 image, meant for disk=?"
	case has(0, "MZ"):
		return "an EFI or DOS program without the Linux boot header"
	case has(hdrBootFlag, "\x55\xaa"):
		return "a boot sector or a disk image, meant for disk=?"
	}
	return fmt.Sprintf("neither ELF nor bzImage: it starts with % x", b[:min(len(b), 8)])
}

func notELF(c Container, h []byte) string {
	if c == ContainerELF {
		return "the ELF header is cut off"
	}
	if len(h) == 0 {
		return "its payload unpacks to nothing"
	}
	return "what it unpacks to is not ELF: " + guess(h)
}
