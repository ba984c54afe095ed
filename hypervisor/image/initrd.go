package image

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"gozen/hypervisor/guestmem"
)

// Initrd is an initial RAM disk to be streamed into memory.
type Initrd struct {
	Name string // for messages
	R    io.Reader
	Size int64
}

// OpenInitrd opens the file at path as an Initrd. The caller closes the file.
func OpenInitrd(path string) (*Initrd, io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe without a writer must not hang the build
	if err != nil {
		return nil, nil, fmt.Errorf("open ramdisk: %w; check the path in ramdisk=", err)
	}
	i, err := NewInitrd(f)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return i, f, nil
}

// NewInitrd makes an Initrd of an open file, which the caller closes once it is loaded.
func NewInitrd(f *os.File) (*Initrd, error) {
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("ramdisk %s: not a regular file", f.Name())
	}
	if err != nil {
		return nil, err
	}
	return &Initrd{Name: f.Name(), R: f, Size: st.Size()}, nil
}

// Place gives an Initrd its place: as high as possible below end, page-aligned, and behind floor, where the kernel ends. The range is of the file's
// size, 0 without one.
func (d *Initrd) Place(floor, end guestmem.GPA) (guestmem.Range, error) {
	if d == nil || d.Size == 0 {
		return guestmem.Range{}, nil
	}
	from := min((uint64(floor)+guestmem.PageSize-1)&^(guestmem.PageSize-1), uint64(end))
	if room := uint64(end) - from; d.Size < 0 || uint64(d.Size) > room {
		return guestmem.Range{}, fmt.Errorf("ramdisk %s: %d KiB do not fit: behind the kernel, which ends at %#x, the domain's memory has room for %d KiB; give it more with memory=",
			d.Name, d.Size>>10, uint64(floor), room>>10)
	}
	base := (uint64(end) - uint64(d.Size)) &^ (guestmem.PageSize - 1)
	return guestmem.Range{Base: guestmem.GPA(base), Size: uint64(d.Size)}, nil
}

// Load copies exactly d.Size bytes to base; a nil Initrd has none.
func (d *Initrd) Load(mem *guestmem.Memory, base guestmem.GPA) error {
	if d == nil {
		return nil
	}
	if p, ok := mem.Span(base, uint64(d.Size)); ok {
		if n, err := io.ReadFull(d.R, p); err != nil {
			return fmt.Errorf("ramdisk %s: read at byte %d of %d: %w", d.Name, n, d.Size, err)
		}
		return nil
	}
	buf := make([]byte, min(d.Size, 256<<10))
	for done := int64(0); done < d.Size; {
		n := min(d.Size-done, int64(len(buf)))
		if _, err := io.ReadFull(d.R, buf[:n]); err != nil {
			return fmt.Errorf("ramdisk %s: read at byte %d of %d: %w", d.Name, done, d.Size, err)
		}
		if err := mem.Write(base+guestmem.GPA(done), buf[:n]); err != nil {
			return fmt.Errorf("ramdisk %s: %w", d.Name, err)
		}
		done += n
	}
	return nil
}
