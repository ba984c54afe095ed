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

// Container says how the ELF image was wrapped in the file.
type Container uint8

// The containers Open understands.
const (
	ContainerELF        Container = iota // the file is the ELF image
	ContainerBzImage                     // Linux/x86 boot protocol 2.08 or later, ELF payload
	ContainerCompressed                  // a compressed ELF image, such as vmlinux.gz
)

// String gives the container's usual name.
func (c Container) String() string {
	return [...]string{"ELF", "bzImage", "compressed ELF"}[c]
}

// ErrNotKernel is returned (wrapped, with file and reason) for a file that is no kernel this package can load.
var ErrNotKernel = errors.New("not a loadable x86 kernel")

// Limits on what a file may ask for. A Debian vmlinux has 5 segments and is 60 MiB unpacked.
const (
	maxImage    = 1 << 30  // unpacked size
	maxSegments = 64       // PT_LOAD headers
	maxHeaders  = 64 << 10 // program and section headers together lie in this many bytes, or are not read
	maxNotes    = 64 << 10 // bytes of notes kept
)

// Segment is one piece of the kernel to be put in guest memory: FileSize bytes from the image, then zeros up to MemSize.
type Segment struct {
	Offset   uint64 // in the unpacked image
	FileSize uint64
	Phys     guestmem.GPA
	Virt     uint64
	MemSize  uint64
	Exec     bool // holds code
}

// End is the first address behind the segment.
func (s Segment) End() guestmem.GPA { return s.Phys + guestmem.GPA(s.MemSize) }

// Kernel is a recognised kernel file. It is not safe for concurrent use.
type Kernel struct {
	Name        string // as given to Open: for messages
	Container   Container
	Compression string // "", "gzip", "xz", "lz4", "zstd", "bzip2", "lzma"
	Version     string // bzImage: the kernel's version line; else ""
	Bits        int    // 32 or 64: the ELF class
	Entry       uint64 // e_entry: a virtual address where the kernel has one
	Segments    []Segment

	src     source
	file    *os.File      // the whole file, where there is one
	head    []byte        // the first bytes of the unpacked image
	rest    io.ReadCloser // a stream that stands behind head, for the first pass
	noteAt  []span        // where notes lie in the unpacked image
	notes   Notes
	noted   bool
	closers []io.Closer
}

// span is a run of bytes of the unpacked image.
type span struct{ off, size uint64 }

// OpenFile opens the kernel at path. Close it when done.
func OpenFile(path string) (*Kernel, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe without a writer must not hang the build
	if err != nil {
		return nil, fmt.Errorf("open kernel: %w; check the path in kernel=", err)
	}
	return FromFile(f)
}

// FromFile opens the kernel in f, which belongs to it from then on, also on an error.
func FromFile(f *os.File) (*Kernel, error) {
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("kernel %s: %w: it is a %s, not a regular file", f.Name(), ErrNotKernel, fileKind(st.Mode()))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	k, err := Open(f.Name(), f, st.Size())
	if err != nil {
		f.Close()
		return nil, err
	}
	k.closers = append(k.closers, f)
	k.file = f
	return k, nil
}

func fileKind(m os.FileMode) string {
	switch {
	case m.IsDir():
		return "folder"
	case m&os.ModeDevice != 0:
		return "device"
	case m&os.ModeNamedPipe != 0:
		return "pipe"
	}
	return "special file"
}

// Open recognises the kernel in r, size bytes long. name appears in messages. r must stay readable until Close. Errors
// wrap ErrNotKernel when the file is of the wrong kind or damaged.
func Open(name string, r io.ReaderAt, size int64) (*Kernel, error) {
	k := &Kernel{Name: name}
	if err := k.open(r, size); err != nil {
		k.Close()
		return nil, fmt.Errorf("kernel %s: %w", name, err)
	}
	return k, nil
}

func (k *Kernel) open(r io.ReaderAt, size int64) error {
	if err := k.recognise(r, size); err != nil {
		return err
	}
	if err := k.readHead(); err != nil {
		return err
	}
	if err := k.parseELF(); err != nil {
		return err
	}
	if k.Container == ContainerELF {
		k.sectionNotes(r, size)
		return k.readNotes(r)
	}
	return nil
}

// Close releases the decompressor and, after OpenFile, the file.
func (k *Kernel) Close() error {
	k.dropStream()
	var errs []error
	for _, c := range k.closers {
		errs = append(errs, c.Close())
	}
	k.closers = nil
	return errors.Join(errs...)
}

func (k *Kernel) dropStream() {
	if k.rest != nil {
		k.rest.Close()
		k.rest = nil
	}
}

// Extent gives the lowest address of the kernel in guest memory and the first behind it, bss included.
func (k *Kernel) Extent() (lo, hi guestmem.GPA) {
	lo = ^guestmem.GPA(0)
	for _, s := range k.Segments {
		lo, hi = min(lo, s.Phys), max(hi, s.End())
	}
	return lo, hi
}

// Notes gives the Xen notes. For a compressed kernel that was not loaded yet this unpacks the image once, so
// ask after Load where the order allows.
func (k *Kernel) Notes() (Notes, error) {
	if k.noted {
		return k.notes, nil
	}
	if err := k.stream(nil); err != nil {
		return nil, fmt.Errorf("kernel %s: read notes: %w", k.Name, err)
	}
	return k.notes, nil
}

// Load writes the segments to mem and gives the first address behind the kernel. Memory behind a segment's
// file bytes (bss) is zeroed; pages there that are zero already are only read. The guest must not run yet.
func (k *Kernel) Load(mem *guestmem.Memory) (guestmem.GPA, error) {
	load := k.stream
	if k.Container == ContainerELF {
		load = k.read
	}
	if err := load(mem); err != nil {
		return 0, fmt.Errorf("load kernel %s: %w", k.Name, err)
	}
	for _, s := range k.Segments {
		if err := zero(mem, s.Phys+guestmem.GPA(s.FileSize), s.MemSize-s.FileSize); err != nil {
			return 0, fmt.Errorf("load kernel %s: bss: %w", k.Name, tooSmall(err))
		}
	}
	_, hi := k.Extent()
	return hi, nil
}

func tooSmall(err error) error {
	if errors.Is(err, guestmem.ErrUnmapped) {
		return fmt.Errorf("%w: the domain has no memory where the kernel wants to be; give it more with memory=", err)
	}
	return err
}

// zeroes is what empty memory is compared with.
var zeroes [64 << 10]byte

// zero makes n bytes at a zero without touching pages that are zero already.
func zero(mem *guestmem.Memory, a guestmem.GPA, n uint64) error {
	if p, ok := mem.Span(a, n); ok {
		for len(p) > 0 {
			c := min(len(p), len(zeroes))
			if !bytes.Equal(p[:c], zeroes[:c]) {
				clear(p[:c])
			}
			p = p[c:]
		}
		return nil
	}
	var got, none [guestmem.PageSize]byte
	for n > 0 {
		c := min(n, guestmem.PageSize-uint64(a)&(guestmem.PageSize-1))
		if err := mem.Read(a, got[:c]); err != nil {
			return err
		}
		if got != none {
			if err := mem.Write(a, none[:c]); err != nil {
				return err
			}
			got = none
		}
		a, n = a+guestmem.GPA(c), n-c
	}
	return nil
}
