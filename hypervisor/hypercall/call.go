package hypercall

import (
	"gozen/hypervisor/domain"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

// Result says what the vCPU loop has to do after a hypercall, besides going on.
type Result struct {
	// Again: bounded work remains. Look for kicks and interrupts (and block or yield first, if that is asked for
	// too), then call again with the same registers.
	Again bool
	// Block: the vCPU waits until an interrupt or an upcall is due, or, when v.Polling, until
	// v.PollDone. Then call v.EndPoll. v.NextDeadline covers the timeout of a poll.
	Block bool
	// Yield: the vCPU gives up its time slice.
	Yield bool
}

// budget bounds the list entries worked off per call.
const budget = 64

// call is one hypercall under way. A vCPU has one, kept in VCPU.Local.
type call struct {
	d    *domain.Domain
	v    *domain.VCPU
	rows *[64]row
	abi  xen.ABI
	nr   uint64
	args [6]uint64
	res  Result
	n    int // bytes of Scratch that load filled
	deep bool
	work int // list entries left to do in this exit
	word [16]byte
}

// regs64 and regs32 are the argument registers of the two ABIs.
var (
	regs64 = [6]int{x86.RDI, x86.RSI, x86.RDX, x86.R10, x86.R8, x86.R9}
	regs32 = [6]int{x86.RBX, x86.RCX, x86.RDX, x86.RSI, x86.RDI, x86.RBP}
)

// Call does the hypercall that the registers ask for and leaves its result in rax. long says that the guest was in 64-bit
// mode, cpl its privilege level: anything but 0 gets -EPERM. When Result.Again is set, the registers hold the
// continued call instead of a result. It runs on the vCPU's goroutine and does not allocate, except where a call makes something
// new.
func Call(d *domain.Domain, v *domain.VCPU, regs *[16]uint64, long bool, cpl uint8) Result {
	if cpl != 0 {
		setResult(regs, long, xen.EPERM.Ret())
		return Result{}
	}
	c := begin(d, v, &table)
	in := &regs64
	mask := ^uint64(0)
	c.abi = xen.ABI64
	if !long {
		in, mask, c.abi = &regs32, 0xffffffff, xen.ABI32
	}
	c.nr = regs[x86.RAX] & mask
	for i, r := range in {
		c.args[i] = regs[r] & mask
	}
	ret := c.dispatch()
	if !c.res.Again {
		setResult(regs, long, ret)
		return c.res
	}
	for i, r := range in {
		regs[r] = c.args[i] & mask
	}
	return c.res
}

// begin gives the vCPU's call, fresh for another hypercall.
func begin(d *domain.Domain, v *domain.VCPU, rows *[64]row) *call {
	c, ok := v.Local.(*call)
	if !ok {
		c = &call{d: d, v: v, rows: rows}
		v.Local = c
	}
	c.res, c.deep, c.work = Result{}, false, budget
	return c
}

func setResult(regs *[16]uint64, long bool, ret uint64) {
	if !long {
		ret &= 0xffffffff
	}
	regs[x86.RAX] = ret
}

// dispatch runs the row of c.nr.
func (c *call) dispatch() uint64 {
	if c.nr >= uint64(len(c.rows)) {
		c.v.Counts.Add(c.nr, 0)
		return xen.ENOSYS.Ret()
	}
	r := &c.rows[c.nr]
	sub := uint64(0)
	if r.subMask != 0 {
		sub = c.args[0] & r.subMask
	}
	c.v.Counts.Add(c.nr, sub)
	if r.handler == nil {
		return r.refuse.Ret()
	}
	return r.handler(c)
}

// again asks for a continuation: the handler has put the progress into c.args.
func (c *call) again() uint64 {
	c.res.Again = true
	return 0
}

// spend takes one list entry from the budget and reports whether there was one. The first entry of a call always is free, so
// that a continued call makes progress.
func (c *call) spend() bool {
	c.work--
	return c.work >= 0
}

const efault = ^uint64(xen.EFAULT) + 1

// sizer starts the measuring of an argument struct.
func (c *call) sizer() xen.Codec { return xen.Sizer(c.abi) }

// load reads the struct that k measured from the guest, and makes k decode it.
func (c *call) load(k *xen.Codec, va uint64) bool {
	c.n = k.Size()
	b := c.v.Scratch[:c.n]
	if c.v.Virt.ReadVirt(va, b) != nil {
		return false
	}
	*k = xen.Decoder(c.abi, b)
	return true
}

// encoder starts the writing back of the struct that load read; padding stays as the guest had it.
func (c *call) encoder() xen.Codec { return xen.Encoder(c.abi, c.v.Scratch[:c.n]) }

// fresh starts the writing of a struct of n bytes that was not read before.
func (c *call) fresh(n int) xen.Codec {
	c.n = n
	clear(c.v.Scratch[:n])
	return xen.Encoder(c.abi, c.v.Scratch[:n])
}

// store writes what the encoder wrote to the guest, and gives ret, or -EFAULT.
func (c *call) store(va, ret uint64) uint64 {
	if c.v.Virt.WriteVirt(va, c.v.Scratch[:c.n]) != nil {
		return efault
	}
	return ret
}

// readLong and writeLong move one xen_ulong_t, xen_pfn_t of the guest's ABI at index i of an array.
func (c *call) readLong(array, i uint64) (uint64, bool) {
	n := uint64(c.abi.LongSize())
	b := c.word[:n]
	if c.v.Virt.ReadVirt(c.elem(array, i, n), b) != nil {
		return 0, false
	}
	var x uint64
	for j := range b {
		x |= uint64(b[j]) << (8 * j)
	}
	return x, true
}

func (c *call) writeLong(array, i, x uint64) bool { return c.writeWord(array, i, x, c.abi.LongSize()) }

// writeWord writes element i of an array of n-byte words.
func (c *call) writeWord(array, i, x uint64, n int) bool {
	b := c.word[:n]
	for j := range b {
		b[j] = byte(x >> (8 * j))
	}
	return c.v.Virt.WriteVirt(c.elem(array, i, uint64(n)), b) == nil
}

// elem gives the address of element i of size n, wrapped as the guest's addresses wrap.
func (c *call) elem(array, i, n uint64) uint64 {
	a := array + i*n
	if c.abi == xen.ABI32 {
		a &= 0xffffffff
	}
	return a
}
