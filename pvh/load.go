package pvh

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/image"
	"gozen/hypervisor/x86"
)

// MaxCommandLine is the longest kernel command line in bytes. Linux itself uses the first 2047.
const MaxCommandLine = 4095

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
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("ramdisk %s: not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return &Initrd{Name: path, R: f, Size: st.Size()}, f, nil
}

// Boot says what Load did.
type Boot struct {
	State     x86.State    // of vCPU 0
	StartInfo guestmem.GPA // of the hvm_start_info structure
	KernelEnd guestmem.GPA
	Initrd    guestmem.Range // Size 0 without one; Size is the file's, not rounded
	Notes     image.Notes
}

// Load puts kernel, start info, initrd (nil for none) and ACPI tables into mem, which was made from p.RAM, and gives
// the state vCPU 0 starts in. Errors name the file, the reason and the way out.
func (p *Plan) Load(mem *guestmem.Memory, k *image.Kernel, initrd *Initrd, cmdline string) (*Boot, error) {
	if len(cmdline) > MaxCommandLine || strings.ContainsRune(cmdline, 0) {
		return nil, fmt.Errorf("kernel command line of %d bytes: at most %d, without NUL, are possible", len(cmdline), MaxCommandLine)
	}
	lo, hi := k.Extent()
	info := guestmem.GPA(pageUp(uint64(hi)))
	infoSize := startInfoSize(len(p.E820), cmdline)
	if info < hi || info+guestmem.GPA(infoSize) > p.lowEnd {
		return nil, fmt.Errorf("kernel %s: it wants memory from %#x to %#x, the domain has %d MiB below 4 GiB; give it more with memory=",
			k.Name, uint64(lo), uint64(info)+infoSize, p.lowEnd>>20)
	}
	disk, err := p.placeInitrd(initrd, info+guestmem.GPA(infoSize))
	if err != nil {
		return nil, err
	}
	b := &Boot{StartInfo: info, Initrd: disk}
	if b.KernelEnd, err = k.Load(mem); err != nil {
		return nil, err
	}
	if b.Notes, err = k.Notes(); err != nil {
		return nil, err
	}
	entry, err := entryPoint(k, b.Notes)
	if err != nil {
		return nil, err
	}
	if err := loadInitrd(mem, initrd, disk.Base); err != nil {
		return nil, err
	}
	if err := mem.Write(info, p.startInfo(info, disk, cmdline)); err != nil {
		return nil, fmt.Errorf("write start info: %w", err)
	}
	if err := mem.Write(p.RSDP, p.tables); err != nil {
		return nil, fmt.Errorf("write ACPI tables: %w", err)
	}
	b.State = entryState(entry, info)
	return b, nil
}

// entryPoint finds the PVH entry in the notes and checks that the kernel has bytes there.
func entryPoint(k *image.Kernel, n image.Notes) (uint32, error) {
	e, ok := n.Uint(image.NotePhys32Entry)
	if !ok {
		hint := "take one that has it, such as Debian's linux-image-cloud-amd64"
		if n.Has(image.NoteVirtBase) || n.Has(image.NoteHypercallPage) {
			hint += `; this one can start as a PV guest: type="pv"`
		}
		return 0, fmt.Errorf("kernel %s: no Xen PVH entry note (XEN_ELFNOTE_PHYS32_ENTRY): the kernel was built without CONFIG_PVH; %s",
			k.Name, hint)
	}
	for _, s := range k.Segments {
		if a := guestmem.GPA(e); e < 1<<32 && a >= s.Phys && a-s.Phys < guestmem.GPA(s.FileSize) {
			return uint32(e), nil
		}
	}
	return 0, fmt.Errorf("kernel %s: its PVH entry note says %#x, where the kernel has no code; the file is damaged", k.Name, e)
}

// placeInitrd puts the initrd as high as possible below the hole, page-aligned, above floor.
func (p *Plan) placeInitrd(d *Initrd, floor guestmem.GPA) (guestmem.Range, error) {
	if d == nil || d.Size == 0 {
		return guestmem.Range{}, nil
	}
	room := uint64(p.lowEnd - guestmem.GPA(pageUp(uint64(floor))))
	if pageUp(uint64(floor)) > uint64(p.lowEnd) {
		room = 0
	}
	if d.Size < 0 || uint64(d.Size) > room {
		return guestmem.Range{}, fmt.Errorf("ramdisk %s: %d KiB do not fit: behind the kernel, which ends at %#x, the domain's memory has room for %d KiB; give it more with memory=",
			d.Name, d.Size>>10, uint64(floor), room>>10)
	}
	base := (uint64(p.lowEnd) - uint64(d.Size)) &^ (guestmem.PageSize - 1)
	return guestmem.Range{Base: guestmem.GPA(base), Size: uint64(d.Size)}, nil
}

// loadInitrd copies exactly d.Size bytes to base.
func loadInitrd(mem *guestmem.Memory, d *Initrd, base guestmem.GPA) error {
	if d == nil {
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

// hvm_start_info, version 1 (public/arch-x86/hvm/start_info.h).
const (
	startMagic    = 0x336ec578
	startVersion  = 1
	startSize     = 56
	moduleSize    = 32
	memmapEntSize = 24
)

func startInfoSize(entries int, cmdline string) uint64 {
	return startSize + moduleSize + uint64(entries)*memmapEntSize + uint64(len(cmdline)) + 1
}

// startInfo gives the bytes of the structure at address at, with module list, memory map and command line behind it.
func (p *Plan) startInfo(at guestmem.GPA, disk guestmem.Range, cmdline string) []byte {
	le := binary.LittleEndian
	b := make([]byte, startInfoSize(len(p.E820), cmdline))
	modules := uint64(at) + startSize
	memmap := modules + moduleSize
	cmd := memmap + uint64(len(p.E820))*memmapEntSize
	le.PutUint32(b, startMagic)
	le.PutUint32(b[4:], startVersion)
	if disk.Size > 0 {
		le.PutUint32(b[12:], 1)
		le.PutUint64(b[16:], modules)
		le.PutUint64(b[startSize:], uint64(disk.Base))
		le.PutUint64(b[startSize+8:], disk.Size)
	}
	le.PutUint64(b[24:], cmd)
	le.PutUint64(b[32:], uint64(p.RSDP))
	le.PutUint64(b[40:], memmap)
	le.PutUint32(b[48:], uint32(len(p.E820)))
	for i, e := range p.E820 {
		m := b[startSize+moduleSize+i*memmapEntSize:]
		le.PutUint64(m, e.Addr)
		le.PutUint64(m[8:], e.Size)
		le.PutUint32(m[16:], e.Type)
	}
	copy(b[cmd-uint64(at):], cmdline)
	return b
}
