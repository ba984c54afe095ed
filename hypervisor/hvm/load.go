package hvm

import (
	"fmt"
	"strings"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/image"
	"gozen/hypervisor/x86"
)

// Where a kernel finds what it is started with: below 640 KiB, in memory that it may use again.
const (
	gdtAt     = 0x500
	bootAt    = 0x7000 // struct boot_params
	pml4At    = 0x9000 // and the tables below it
	cmdlineAt = 0x20000

	// MaxCommandLine is the longest kernel command line in bytes. Linux itself uses the first 2047.
	MaxCommandLine = 4095
)

// Load puts a kernel, an initial RAM disk (nil for none) and the firmware's tables into mem, which was made from p.RAM, and gives the state in
// which vCPU 0 enters the kernel: by the 64-bit boot protocol of Linux, or the 32-bit one (Documentation/arch/x86/boot.rst). The kernel inside a
// bzImage is unpacked here.
func (p *Plan) Load(mem *guestmem.Memory, k *image.Kernel, initrd *image.Initrd, cmdline string) (*x86.State, error) {
	if len(cmdline) > MaxCommandLine || strings.ContainsRune(cmdline, 0) {
		return nil, fmt.Errorf("kernel command line of %d bytes: at most %d, without NUL, are possible", len(cmdline), MaxCommandLine)
	}
	lo, hi := k.Extent()
	if lo < 1<<20 || hi > p.lowEnd {
		return nil, fmt.Errorf("kernel %s: it wants memory from %#x to %#x, the domain has it from 1 MiB to %d MiB; give it more with memory=",
			k.Name, uint64(lo), uint64(hi), p.lowEnd>>20)
	}
	entry, err := entryPoint(k)
	if err != nil {
		return nil, err
	}
	disk, err := initrd.Place(hi, min(p.lowEnd, initrdEnd-guestmem.PageSize))
	if err != nil {
		return nil, err
	}
	if _, err := k.Load(mem); err != nil {
		return nil, err
	}
	if err := initrd.Load(mem, disk.Base); err != nil {
		return nil, err
	}
	if err := p.firmware(mem); err != nil {
		return nil, err
	}
	long := k.Bits == 64
	err = write(mem, piece{"boot parameters", bootAt, p.bootParams(disk)}, piece{"command line", cmdlineAt, append([]byte(cmdline), 0)},
		piece{"page tables", pml4At, pageTables()}, piece{"GDT", gdtAt, gdt(long)})
	if err != nil {
		return nil, err
	}
	s := entryState(entry, long)
	return &s, nil
}

// entryPoint gives the physical address of the kernel's entry, which may be given as a virtual one.
func entryPoint(k *image.Kernel) (uint64, error) {
	for _, s := range k.Segments {
		if e := k.Entry; e >= uint64(s.Phys) && e-uint64(s.Phys) < s.FileSize {
			return e, nil
		}
	}
	for _, s := range k.Segments {
		if e := k.Entry - s.Virt; k.Entry >= s.Virt && e < s.FileSize {
			return uint64(s.Phys) + e, nil
		}
	}
	return 0, fmt.Errorf("kernel %s: its entry %#x is where it has no code; the file is damaged", k.Name, k.Entry)
}

// initrdEnd is where Linux's boot protocols let a RAM disk end at the latest (initrd_addr_max).
const initrdEnd = 1 << 31

// Fields of struct boot_params (Documentation/arch/x86/zero-page.rst) and of the setup header in it (boot.rst).
const (
	bpSize      = 4096
	bpRSDP      = 0x070
	bpE820N     = 0x1e8
	bpRootFlags = 0x1f2
	bpVideoMode = 0x1fa
	bpBootFlag  = 0x1fe
	bpMagic     = 0x202
	bpVersion   = 0x206
	bpLoader    = 0x210
	bpLoadFlags = 0x211
	bpInitrd    = 0x218
	bpInitrdLen = 0x21c
	bpCmdline   = 0x228
	bpInitrdMax = 0x22c
	bpAlign     = 0x230
	bpCmdMax    = 0x238
	bpE820      = 0x2d0

	loaderUnknown = 0xff
	loadedHigh    = 1
	protocol      = 0x20f
)

// bootParams gives the zero page.
func (p *Plan) bootParams(disk guestmem.Range) []byte {
	b := make([]byte, bpSize)
	le.PutUint64(b[bpRSDP:], rsdpAt)
	le.PutUint16(b[bpRootFlags:], 1) // read-only
	le.PutUint16(b[bpVideoMode:], 0xffff)
	le.PutUint16(b[bpBootFlag:], 0xaa55)
	copy(b[bpMagic:], "HdrS")
	le.PutUint16(b[bpVersion:], protocol)
	b[bpLoader], b[bpLoadFlags] = loaderUnknown, loadedHigh
	le.PutUint32(b[bpInitrd:], uint32(disk.Base))
	le.PutUint32(b[bpInitrdLen:], uint32(disk.Size))
	le.PutUint32(b[bpInitrdMax:], initrdEnd-1)
	le.PutUint32(b[bpCmdline:], cmdlineAt)
	le.PutUint32(b[bpAlign:], 1<<24)
	le.PutUint32(b[bpCmdMax:], MaxCommandLine)
	b[bpE820N] = byte(len(p.E820))
	for i, e := range p.E820 {
		t := b[bpE820+20*i:]
		le.PutUint64(t, e.Addr)
		le.PutUint64(t[8:], e.Size)
		le.PutUint32(t[16:], e.Type)
	}
	return b
}
