package hypercall

import (
	"encoding/binary"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// doneOut writes the count of requests done, where the guest asked for it.
func (c *call) doneOut(va uint64, n uint32) bool {
	return va == 0 || c.writeWord(va, 0, uint64(n), 4)
}

func (c *call) otherDomain(arg uint64) bool {
	id := xen.DomID(arg)
	return id != xen.DOMID_SELF && id != c.d.ID
}

// requests works off a list of requests: do has the address of one, and gives its size and the call's result, other than 0 for one that failed. When the
// call is continued, the list pointer and the count move; the count of those done before is kept by the vCPU.
func (c *call) requests(do func(at uint64) (size, ret uint64)) uint64 {
	list, count, done := c.args[0], uint32(c.args[1]), c.args[2]
	p := c.pv()
	var n uint32
	var size, ret uint64
	for ; n < count; n++ {
		if n != 0 && !c.spend() {
			p.Done += n
			c.args[0], c.args[1] = list, uint64(count-n)
			return c.again()
		}
		if size, ret = do(list); ret != 0 {
			break
		}
		list += size
	}
	n += p.Done
	p.Done = 0
	if !c.doneOut(done, n) {
		return efault
	}
	return ret
}

func (c *call) mmuUpdate() uint64 {
	if c.otherDomain(c.args[3]&0xffff) || c.args[3]>>16 != 0 && c.args[3]>>16 != uint64(c.d.ID)+1 {
		return xen.ESRCH.Ret()
	}
	return c.requests(func(at uint64) (size, ret uint64) {
		b := c.v.Scratch[:xen.MMU_REQUEST_SIZE]
		if c.v.Virt.ReadVirt(at, b) != nil {
			return 0, efault
		}
		return xen.MMU_REQUEST_SIZE, c.mmuRequest(binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])).Ret()
	})
}

func (c *call) mmuRequest(ptr, val uint64) xen.Errno {
	switch ptr & 3 {
	case xen.MMU_MACHPHYS_UPDATE:
		return c.d.PV.SetMachPhys(ptr>>12, val)
	case xen.MMU_NORMAL_PT_UPDATE, xen.MMU_PT_UPDATE_PRESERVE_AD, xen.MMU_PT_UPDATE_NO_TRANSLATE:
		return c.d.PV.MMU.Update(guestmem.GPA(ptr&^3), val, ptr&3 == xen.MMU_PT_UPDATE_PRESERVE_AD)
	}
	return xen.ENOSYS
}

func (c *call) updateVAMapping() uint64 {
	va, val, flags := c.args[0], c.args[1], c.args[2]
	p := c.pv()
	at, _, ok := c.d.PV.MMU.Walk(p.Root(), va)
	if !ok {
		return xen.EINVAL.Ret()
	}
	if err := c.d.PV.MMU.Update(at, val, false); err != 0 {
		return err.Ret()
	}
	switch flags & xen.UVMF_FLUSHTYPE {
	case xen.UVMF_TLB_FLUSH:
		p.Flush()
	case xen.UVMF_INVLPG:
		p.FlushPage(va)
	default:
		return 0
	}
	if flags&^xen.UVMF_FLUSHTYPE != 0 {
		c.flushOthers(flags &^ 7)
	}
	return 0
}

// flushOthers makes other vCPUs flush their TLBs: those of a bitmap in guest memory, or all where it is 0.
func (c *call) flushOthers(mask uint64) {
	var bits uint64 = ^uint64(0)
	if mask != 0 {
		if b, ok := c.readLong(mask, 0); ok {
			bits = b
		}
	}
	for _, v := range c.d.VCPUs {
		if v != c.v && (v.ID >= 64 || bits>>v.ID&1 == 1) {
			v.RequestFlush()
		}
	}
	for _, v := range c.d.VCPUs { // as on Xen, the call returns when no vCPU can use an old entry any more
		if v != c.v && (v.ID >= 64 || bits>>v.ID&1 == 1) {
			v.AwaitExit()
		}
	}
}

func (c *call) mmuextOp() uint64 {
	if c.otherDomain(c.args[3]) {
		return xen.EPERM.Ret()
	}
	return c.requests(func(at uint64) (size, ret uint64) {
		var op xen.MMUExtOp
		k := c.sizer()
		if op.Layout(&k); !c.load(&k, at) {
			return 0, efault
		}
		size = uint64(c.n)
		op.Layout(&k)
		return size, c.mmuext(&op).Ret()
	})
}

func (c *call) mmuext(op *xen.MMUExtOp) xen.Errno {
	m, p, g := c.d.PV.MMU, c.pv(), guestmem.GFN(op.Arg1)
	switch op.Cmd {
	case xen.MMUEXT_PIN_L1_TABLE, xen.MMUEXT_PIN_L2_TABLE, xen.MMUEXT_PIN_L3_TABLE, xen.MMUEXT_PIN_L4_TABLE:
		return m.Pin(g, int(op.Cmd-xen.MMUEXT_PIN_L1_TABLE)+1)
	case xen.MMUEXT_UNPIN_TABLE:
		return m.Unpin(g)
	case xen.MMUEXT_NEW_BASEPTR:
		return p.SetKernelRoot(g)
	case xen.MMUEXT_NEW_USER_BASEPTR:
		return p.SetUserRoot(g)
	case xen.MMUEXT_TLB_FLUSH_LOCAL:
		p.Flush()
	case xen.MMUEXT_INVLPG_LOCAL:
		p.FlushPage(op.Arg1)
	case xen.MMUEXT_TLB_FLUSH_MULTI, xen.MMUEXT_TLB_FLUSH_ALL:
		p.Flush()
		c.flushOthers(multiMask(op, xen.MMUEXT_TLB_FLUSH_MULTI))
	case xen.MMUEXT_INVLPG_MULTI, xen.MMUEXT_INVLPG_ALL:
		p.FlushPage(op.Arg1)
		c.flushOthers(multiMask(op, xen.MMUEXT_INVLPG_MULTI))
	case xen.MMUEXT_FLUSH_CACHE, xen.MMUEXT_FLUSH_CACHE_GLOBAL:
		return xen.EACCES // without devices, as on Xen
	case xen.MMUEXT_SET_LDT:
		return p.SetLDT(op.Arg1, op.Arg2)
	case xen.MMUEXT_CLEAR_PAGE:
		return c.d.PV.CopyPage(g, g, true)
	case xen.MMUEXT_COPY_PAGE:
		return c.d.PV.CopyPage(g, guestmem.GFN(op.Arg2), false)
	case xen.MMUEXT_MARK_SUPER, xen.MMUEXT_UNMARK_SUPER:
		return xen.EOPNOTSUPP
	default:
		return xen.ENOSYS
	}
	return 0
}

// multiMask gives the handle of the set of vCPUs, 0 for all.
func multiMask(op *xen.MMUExtOp, multi uint32) uint64 {
	if op.Cmd == multi {
		return op.Arg2
	}
	return 0
}
