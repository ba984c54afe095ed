package pvh

import (
	"encoding/binary"
	"fmt"
	"strings"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/image"
	"gozen/hypervisor/x86"
)

// MaxCommandLine is the longest kernel command line in bytes. Linux itself uses the first 2047.
const MaxCommandLine = 4095

// Initrd is an initial RAM disk to be streamed into memory.
type Initrd = image.Initrd

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
	disk, err := initrd.Place(info+guestmem.GPA(infoSize), p.lowEnd)
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
	if err := initrd.Load(mem, disk.Base); err != nil {
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
