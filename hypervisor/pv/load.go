package pv

import (
	"encoding/binary"
	"fmt"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/image"
	"gozen/hypervisor/pv/monitor"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

// MaxCommandLine is the length of start_info's command line, without the NUL.
const MaxCommandLine = 1023

// Boot is what the loader has made of a kernel.
type Boot struct {
	// Console and Store are the frames of the rings.
	Console, Store guestmem.GFN
	Notes          image.Notes

	info guestmem.GPA
	si   xen.StartInfo
}

// notes are what a kernel's notes say for the loader.
type notes struct {
	base, entry, offset, p2m uint64
	page                     uint64 // of hypercalls, 0 for none
	modPFN                   bool
}

// Supported tells whether a kernel can be a PV guest's, or why not.
func Supported(k *image.Kernel, n image.Notes) error {
	_, err := read(k, n)
	return err
}

func read(k *image.Kernel, n image.Notes) (s notes, err error) {
	bad := func(why string) (notes, error) { return notes{}, fmt.Errorf("kernel %s: %s", k.Name, why) }
	if _, pvh := n.Uint(image.NotePhys32Entry); !n.Has(image.NoteVirtBase) && !n.Has(image.NoteEntry) {
		hint := "take one built with CONFIG_XEN_PV, such as Debian's linux-image-amd64"
		if pvh {
			hint += `; this one can start as a PVH guest: type="pvh"`
		}
		return bad("no Xen PV entry note (XEN_ELFNOTE_ENTRY): the kernel was built without CONFIG_XEN_PV; " + hint)
	}
	if k.Bits == 32 {
		return bad("a 32-bit PV kernel cannot be run, only 64-bit ones; a 32-bit kernel with a PVH entry can start as type=\"pvh\"")
	}
	s.base, _ = n.Uint(image.NoteVirtBase)
	s.offset, _ = n.Uint(image.NotePaddrOffset)
	s.p2m, _ = n.Uint(image.NoteInitP2M)
	s.page, _ = n.Uint(image.NoteHypercallPage)
	mod, _ := n.Uint(image.NoteModStartPFN)
	s.modPFN = mod != 0
	if e, ok := n.Uint(image.NoteEntry); ok {
		s.entry = e
	} else {
		s.entry = k.Entry
	}
	switch {
	case s.offset != 0:
		return bad("its physical addresses are not those of a 64-bit Linux or a unikernel (XEN_ELFNOTE_PADDR_OFFSET is not 0)")
	case s.base&(huge-1) != 0 || !x86.Canonical(s.base), inOurs(s.base):
		return bad(fmt.Sprintf("its virtual base %#x cannot be mapped", s.base))
	case s.p2m != 0 && (!x86.Canonical(s.p2m) || s.p2m&(1<<39-1) != 0 || s.p2m>>39 == s.base>>39 || inOurs(s.p2m)):
		return bad(fmt.Sprintf("its place for the physical-to-machine list, %#x, cannot be mapped", s.p2m))
	}
	return s, nil
}

// loader lays out a guest's memory behind its kernel.
type loader struct {
	m    *Machine
	n    notes
	next guestmem.GFN
	err  error
	ro   map[guestmem.GFN]bool // page tables
	l4   guestmem.GFN
}

func (l *loader) take(pages uint64) guestmem.GFN {
	g := l.next
	l.next += guestmem.GFN(pages)
	if l.err == nil && uint64(l.next) > l.m.RAM.Size>>12 {
		l.err = fmt.Errorf("kernel and ramdisk need more than the domain's %d MiB; give it more with memory=", l.m.RAM.Size>>20)
	}
	return g
}

// Load puts a kernel into the guest's memory as Xen's domain builder does: behind the kernel start_info, the rings of xenstore and console, page tables that
// map all of that from its virtual base on, a stack, then the physical-to-machine list and the RAM disk. vCPU 0 is made ready to enter it.
func (m *Machine) Load(k *image.Kernel, disk *image.Initrd, cmdline string) (*Boot, error) {
	if len(cmdline) > MaxCommandLine {
		return nil, fmt.Errorf("kernel command line of %d bytes: at most %d are possible", len(cmdline), MaxCommandLine)
	}
	if disk != nil && disk.Size <= 0 {
		disk = nil
	}
	lo, hi := k.Extent()
	if uint64(hi) > m.RAM.Size {
		return nil, fmt.Errorf("kernel %s: it wants memory from %#x to %#x, the domain has %d MiB; give it more with memory=", k.Name, uint64(lo), uint64(hi), m.RAM.Size>>20)
	}
	if _, err := k.Load(m.mem); err != nil {
		return nil, err
	}
	b := &Boot{}
	var err error
	if b.Notes, err = k.Notes(); err != nil {
		return nil, err
	}
	l := &loader{m: m, next: guestmem.GPA(roundUp(uint64(hi), pageSize)).GFN(), ro: map[guestmem.GFN]bool{}}
	if l.n, err = read(k, b.Notes); err != nil {
		return nil, err
	}
	if disk != nil && !l.n.modPFN {
		// Mapped right behind the kernel.
		b.si.ModStart, b.si.ModLen = l.n.base+uint64(l.next)<<12, uint64(disk.Size)
		if err := l.disk(disk); err != nil {
			return nil, err
		}
	}
	if l.n.p2m == 0 { // mapped behind all that has been loaded
		b.si.MFNList = l.n.base + uint64(l.next)<<12
		l.p2m()
	}
	info := l.take(1)
	b.info, b.Store, b.Console = info.GPA(), l.take(1), l.take(1)
	stack := l.kernelTables(b)
	if va := l.n.p2m; va != 0 {
		b.si.MFNList, b.si.FirstP2MPFN = va, uint64(l.next)
		l.mapP2M(l.p2m())
		b.si.NrP2MFrames = uint64(l.next) - b.si.FirstP2MPFN
	}
	if disk != nil && l.n.modPFN {
		b.si.Flags |= xen.SIF_MOD_START_PFN
		b.si.ModStart, b.si.ModLen = uint64(l.next), uint64(disk.Size)
		if err := l.disk(disk); err != nil {
			return nil, err
		}
	}
	if l.err != nil {
		return nil, l.err
	}
	copy(b.si.Magic[:], xen.StartMagic)
	copy(b.si.CmdLine[:], cmdline)
	b.si.NrPages, b.si.SharedInfo = m.RAM.Size>>12, uint64(m.SharedInfo)<<12
	b.si.StoreMFN, b.si.ConsoleMFN = uint64(b.Store), uint64(b.Console)
	if l.n.page != 0 {
		at := guestmem.GPA(l.n.page - l.n.base)
		if uint64(at) > m.RAM.Size-pageSize || at&(pageSize-1) != 0 {
			return nil, fmt.Errorf("kernel %s: its hypercall page %#x lies outside its image", k.Name, l.n.page)
		}
		p := HypercallPage()
		if err := m.mem.Write(at, p[:]); err != nil {
			return nil, err
		}
	}
	if err := b.write(m.mem); err != nil {
		return nil, err
	}
	return b, m.enter(l, info, stack)
}

// enter makes vCPU 0 ready: at the entry, on the stack, with start_info in rsi.
func (m *Machine) enter(l *loader, info, stack guestmem.GFN) error {
	if err := m.MMU.Pin(l.l4, 4); err != 0 {
		return fmt.Errorf("the first page tables were refused: %v", err)
	}
	v := m.VCPUs[0]
	if err := v.SetKernelRoot(l.l4); err != 0 {
		return fmt.Errorf("the first page tables were refused: %v", err)
	}
	va := func(g guestmem.GFN) uint64 { return l.n.base + uint64(g)<<12 }
	v.Regs = [monitor.FrameWords]uint64{monitor.RIP: l.n.entry, monitor.RSP: va(stack) + pageSize, monitor.RSI: va(info),
		monitor.CS: kernelCS, monitor.SS: kernelSS, monitor.RFLAGS: flagIF | x86.FlagOne}
	v.KernelSP = va(stack) + pageSize
	return nil
}

func (l *loader) disk(d *image.Initrd) error {
	at := l.take((uint64(d.Size) + pageSize - 1) >> 12).GPA()
	if l.err != nil {
		return l.err
	}
	return d.Load(l.m.mem, at)
}

const tableFlags, pageFlags = bitP | bitRW | bitU | bitA, bitP | bitRW | bitU | bitA | bitD

// tablesFor gives how many page tables of levels 1 to 3 map [from, to).
func tablesFor(from, to uint64) (n uint64) {
	for _, shift := range []uint{21, 30, 39} {
		n += (to-1)>>shift - from>>shift + 1
	}
	return n
}

// kernelTables makes the tables that map everything from the virtual base to behind themselves, at least half a megabyte more, up to a
// multiple of 4 MiB (public/xen.h, "start-of-day memory layout"), and gives the frame of the stack.
func (l *loader) kernelTables(b *Boot) (stack guestmem.GFN) {
	const align, spare = 4 << 20, 512 << 10
	first := l.next
	n, end := uint64(1), uint64(0)
	for {
		end = roundUp(uint64(first+guestmem.GFN(n)+1)<<12+spare, align)
		if need := 1 + tablesFor(l.n.base, l.n.base+end); need == n {
			break
		} else {
			n = need
		}
	}
	tables := l.take(n)
	stack = l.take(1)
	for g := range guestmem.GFN(n) {
		l.ro[tables+g] = true
	}
	l.l4 = tables
	used := tables + 1
	l.mapRange(l.n.base, 0, end>>12, func() guestmem.GFN { used++; return used - 1 })
	b.si.PTBase, b.si.NrPTFrames = l.n.base+uint64(tables)<<12, n
	l.next = max(l.next, guestmem.GPA(end).GFN())
	if uint64(l.next) > l.m.RAM.Size>>12 && l.err == nil {
		l.err = fmt.Errorf("a kernel that ends at %#x needs a domain of at least %d MiB; give it more with memory=", first.GPA(), end>>20+1)
	}
	return stack
}

// mapRange maps pages frames from first on at va, with tables that next gives.
func (l *loader) mapRange(va uint64, first guestmem.GFN, pages uint64, next func() guestmem.GFN) {
	if l.err != nil {
		return
	}
	for i := range pages {
		at := va + i<<12
		table := l.l4
		for level := 3; level > 0; level-- {
			p, err := l.m.mem.PageAt(table)
			if err != nil {
				l.err = err
				return
			}
			off := uint32(at>>(12+9*level)&511) * 8
			e := p.Load64(off)
			if e == 0 {
				e = uint64(next())<<12 | tableFlags
				p.Store64(off, e)
			}
			table = guestmem.GPA(e & frameMask).GFN()
		}
		g := first + guestmem.GFN(i)
		e := uint64(g)<<12 | pageFlags
		if l.ro[g] {
			e &^= bitRW
		}
		l.m.put(table, int(at>>12&511), e)
	}
}

// p2m makes the physical-to-machine list, which is the identity.
func (l *loader) p2m() (first guestmem.GFN, pages uint64) {
	n := l.m.RAM.Size >> 12
	pages = (n*8 + pageSize - 1) >> 12
	first = l.take(pages)
	if l.err != nil {
		return first, pages
	}
	list, ok := l.m.mem.Span(first.GPA(), pages<<12)
	if !ok {
		l.err = fmt.Errorf("no room for the physical-to-machine list")
		return first, pages
	}
	for i := range n {
		binary.LittleEndian.PutUint64(list[i*8:], i)
	}
	return first, pages
}

// mapP2M maps the list where the kernel wants it.
func (l *loader) mapP2M(first guestmem.GFN, pages uint64) {
	if l.err != nil {
		return
	}
	va := l.n.p2m
	tables := l.take(tablesFor(va, va+pages<<12))
	for g := range guestmem.GFN(tablesFor(va, va+pages<<12)) {
		l.ro[tables+g] = true
	}
	l.mapRange(va, first, pages, func() guestmem.GFN { tables++; return tables - 1 })
}

// SetPorts tells the guest the event channels of its rings.
func (b *Boot) SetPorts(mem *guestmem.Memory, store, console uint32) error {
	b.si.StoreEvtchn, b.si.ConsoleEvtchn = store, console
	return b.write(mem)
}

func (b *Boot) write(mem *guestmem.Memory) error {
	var page [pageSize]byte
	k := xen.Encoder(xen.ABI64, page[:])
	b.si.Layout(&k)
	return mem.Write(b.info, page[:])
}

// HypercallPage makes the hypercall page of a PV guest: SYSCALL, around which rcx and r11 are kept (public/arch-x86/xen-x86_64.h).
func HypercallPage() (p [pageSize]byte) {
	for n := range pageSize / 32 {
		e := p[n*32 : (n+1)*32]
		code := []byte{0x51, 0x41, 0x53, 0xb8, byte(n), byte(n >> 8), 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3}
		if n == xen.HYPERVISOR_iret {
			code = []byte{0x51, 0x41, 0x53, 0x50, 0xb8, byte(n), 0, 0, 0, 0x0f, 0x05} // push rcx, r11, rax; no way back
		}
		copy(e, code)
	}
	return p
}
