package soft

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// execute runs blocks from c.rip until something needs the hypervisor: then it returns with c.exit filled. It is one function and one
// switch, because a call per instruction costs more than most instructions do; instructions without a case
// here go through the handler table. Memory operands repeat the TLB test of load64 and store64 in place for the same
// reason. unsafe: e.page is a host page of guest memory, and the tag test has shown that the access lies inside it.
func (c *CPU) execute() {
	var (
		blk, nb   *block
		insts     []decode.Inst
		in        *decode.Inst
		e         *tlbEntry
		je        *jumpEntry
		i         int
		rip       uint64
		a, b, v   uint64
		lin, to   uint64
		ok, taken bool
	)
	rip = c.rip
	for {
		if c.attn.Load() != 0 || c.slow() || c.icount+maxBlock > c.limit {
			c.rip = rip
			switch c.events() {
			case dueLeave:
				return
			case dueAgain:
				rip = c.rip
				continue
			}
			rip = c.rip
			blk = nil
		}
		if blk == nil {
			if blk = c.lookup(rip); blk == nil {
				c.rip, c.cur = rip, nil
				if !c.trap(nil, 0) {
					return
				}
				rip = c.rip
				continue
			}
		}
		c.cur, c.curRIP = blk, rip
		c.regs[regRIP] = rip
		insts = blk.insts
		for i = 0; i < len(insts); i++ {
			in = &insts[i]
			switch in.Code {
			case codeNop:
			case codeMovRR64:
				c.regs[in.Reg&31] = c.regs[in.RM&31]
			case codeMovRR32:
				c.regs[in.Reg&31] = uint64(uint32(c.regs[in.RM&31]))
			case codeMovRI64:
				c.regs[in.RM&31] = uint64(in.Imm)
			case codeMovRI32:
				c.regs[in.RM&31] = uint64(uint32(in.Imm))
			case codeLoad64:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask == e.r {
					v = *(*uint64)(unsafe.Add(e.page, lin&pageMask))
				} else if v, ok = c.loadSlow(lin, 8); !ok {
					goto trap
				}
				c.regs[in.Reg&31] = v
			case codeLoad32:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+3)&^pageMask == e.r {
					v = uint64(*(*uint32)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 4); !ok {
					goto trap
				}
				c.regs[in.Reg&31] = v
			case codeLoad8:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+0)&^pageMask == e.r {
					v = uint64(*(*uint8)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 1); !ok {
					goto trap
				}
				c.regs[in.Reg&31] = c.regs[in.Reg&31]&^0xff | v
			case codeStore64:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask == e.w {
					*(*uint64)(unsafe.Add(e.page, lin&pageMask)) = uint64(c.regs[in.Reg&31])
				} else if !c.storeSlow(lin, uint64(c.regs[in.Reg&31]), 8) {
					goto trap
				}
			case codeStore32:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+3)&^pageMask == e.w {
					*(*uint32)(unsafe.Add(e.page, lin&pageMask)) = uint32(c.regs[in.Reg&31])
				} else if !c.storeSlow(lin, uint64(c.regs[in.Reg&31]), 4) {
					goto trap
				}
			case codeStore16:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+1)&^pageMask == e.w {
					*(*uint16)(unsafe.Add(e.page, lin&pageMask)) = uint16(c.regs[in.Reg&31])
				} else if !c.storeSlow(lin, uint64(c.regs[in.Reg&31]), 2) {
					goto trap
				}
			case codeStore8:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+0)&^pageMask == e.w {
					*(*uint8)(unsafe.Add(e.page, lin&pageMask)) = uint8(c.regs[in.Reg&31])
				} else if !c.storeSlow(lin, uint64(c.regs[in.Reg&31]), 1) {
					goto trap
				}
			case codeStoreI64:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask == e.w {
					*(*uint64)(unsafe.Add(e.page, lin&pageMask)) = uint64(in.Imm)
				} else if !c.storeSlow(lin, uint64(in.Imm), 8) {
					goto trap
				}
			case codeStoreI32:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+3)&^pageMask == e.w {
					*(*uint32)(unsafe.Add(e.page, lin&pageMask)) = uint32(in.Imm)
				} else if !c.storeSlow(lin, uint64(in.Imm), 4) {
					goto trap
				}
			case codeStoreI8:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+0)&^pageMask == e.w {
					*(*uint8)(unsafe.Add(e.page, lin&pageMask)) = uint8(in.Imm)
				} else if !c.storeSlow(lin, uint64(in.Imm), 1) {
					goto trap
				}
			case codeMovzx8RR:
				c.regs[in.Reg&31] = uint64(uint8(c.regs[in.RM&31]))
			case codeMovzx16RR:
				c.regs[in.Reg&31] = uint64(uint16(c.regs[in.RM&31]))
			case codeMovzx8RM:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+0)&^pageMask == e.r {
					v = uint64(*(*uint8)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 1); !ok {
					goto trap
				}
				c.regs[in.Reg&31] = v
			case codeMovzx16RM:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+1)&^pageMask == e.r {
					v = uint64(*(*uint16)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 2); !ok {
					goto trap
				}
				c.regs[in.Reg&31] = v
			case codeMovsxdRR:
				c.regs[in.Reg&31] = uint64(int64(int32(c.regs[in.RM&31])))
			case codeMovsxdRM:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+3)&^pageMask == e.r {
					v = uint64(*(*uint32)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 4); !ok {
					goto trap
				}
				c.regs[in.Reg&31] = uint64(int64(int32(v)))
			case codeLea64:
				c.regs[in.Reg&31] = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp))
			case codeLea32:
				c.regs[in.Reg&31] = uint64(uint32(c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp))))
			case codeAddRR64:
				a, b = c.regs[in.Reg&31], c.regs[in.RM&31]
				c.ccA, c.ccB, c.ccOp = a, b, ccAdd|cc64
				c.regs[in.Reg&31] = a + b
			case codeAddRI64:
				a, b = c.regs[in.RM&31], uint64(in.Imm)
				c.ccA, c.ccB, c.ccOp = a, b, ccAdd|cc64
				c.regs[in.RM&31] = a + b
			case codeAddRM64:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask == e.r {
					v = *(*uint64)(unsafe.Add(e.page, lin&pageMask))
				} else if v, ok = c.loadSlow(lin, 8); !ok {
					goto trap
				}
				a, b = c.regs[in.Reg&31], v
				c.ccA, c.ccB, c.ccOp = a, b, ccAdd|cc64
				c.regs[in.Reg&31] = a + b
			case codeAddRR32:
				a, b = c.regs[in.Reg&31], c.regs[in.RM&31]
				c.ccA, c.ccB, c.ccOp = a<<32, b<<32, ccAdd|cc32
				c.regs[in.Reg&31] = uint64(uint32(a + b))
			case codeAddRI32:
				a, b = c.regs[in.RM&31], uint64(in.Imm)
				c.ccA, c.ccB, c.ccOp = a<<32, b<<32, ccAdd|cc32
				c.regs[in.RM&31] = uint64(uint32(a + b))
			case codeAddRM32:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+3)&^pageMask == e.r {
					v = uint64(*(*uint32)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 4); !ok {
					goto trap
				}
				a, b = c.regs[in.Reg&31], v
				c.ccA, c.ccB, c.ccOp = a<<32, b<<32, ccAdd|cc32
				c.regs[in.Reg&31] = uint64(uint32(a + b))
			case codeSubRR64:
				a, b = c.regs[in.Reg&31], c.regs[in.RM&31]
				c.ccA, c.ccB, c.ccOp = a, b, ccSub|cc64
				c.regs[in.Reg&31] = a - b
			case codeSubRI64:
				a, b = c.regs[in.RM&31], uint64(in.Imm)
				c.ccA, c.ccB, c.ccOp = a, b, ccSub|cc64
				c.regs[in.RM&31] = a - b
			case codeSubRM64:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask == e.r {
					v = *(*uint64)(unsafe.Add(e.page, lin&pageMask))
				} else if v, ok = c.loadSlow(lin, 8); !ok {
					goto trap
				}
				a, b = c.regs[in.Reg&31], v
				c.ccA, c.ccB, c.ccOp = a, b, ccSub|cc64
				c.regs[in.Reg&31] = a - b
			case codeSubRR32:
				a, b = c.regs[in.Reg&31], c.regs[in.RM&31]
				c.ccA, c.ccB, c.ccOp = a<<32, b<<32, ccSub|cc32
				c.regs[in.Reg&31] = uint64(uint32(a - b))
			case codeSubRI32:
				a, b = c.regs[in.RM&31], uint64(in.Imm)
				c.ccA, c.ccB, c.ccOp = a<<32, b<<32, ccSub|cc32
				c.regs[in.RM&31] = uint64(uint32(a - b))
			case codeSubRM32:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+3)&^pageMask == e.r {
					v = uint64(*(*uint32)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 4); !ok {
					goto trap
				}
				a, b = c.regs[in.Reg&31], v
				c.ccA, c.ccB, c.ccOp = a<<32, b<<32, ccSub|cc32
				c.regs[in.Reg&31] = uint64(uint32(a - b))
			case codeAndRR64:
				v = c.regs[in.Reg&31] & c.regs[in.RM&31]
				c.ccA, c.ccOp = v, ccLogic|cc64
				c.regs[in.Reg&31] = v
			case codeAndRI64:
				v = c.regs[in.RM&31] & uint64(in.Imm)
				c.ccA, c.ccOp = v, ccLogic|cc64
				c.regs[in.RM&31] = v
			case codeAndRM64:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask == e.r {
					v = *(*uint64)(unsafe.Add(e.page, lin&pageMask))
				} else if v, ok = c.loadSlow(lin, 8); !ok {
					goto trap
				}
				v = c.regs[in.Reg&31] & v
				c.ccA, c.ccOp = v, ccLogic|cc64
				c.regs[in.Reg&31] = v
			case codeAndRR32:
				v = uint64(uint32(c.regs[in.Reg&31] & c.regs[in.RM&31]))
				c.ccA, c.ccOp = v<<32, ccLogic|cc32
				c.regs[in.Reg&31] = v
			case codeAndRI32:
				v = uint64(uint32(c.regs[in.RM&31] & uint64(in.Imm)))
				c.ccA, c.ccOp = v<<32, ccLogic|cc32
				c.regs[in.RM&31] = v
			case codeAndRM32:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+3)&^pageMask == e.r {
					v = uint64(*(*uint32)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 4); !ok {
					goto trap
				}
				v = uint64(uint32(c.regs[in.Reg&31] & v))
				c.ccA, c.ccOp = v<<32, ccLogic|cc32
				c.regs[in.Reg&31] = v
			case codeOrRR64:
				v = c.regs[in.Reg&31] | c.regs[in.RM&31]
				c.ccA, c.ccOp = v, ccLogic|cc64
				c.regs[in.Reg&31] = v
			case codeOrRI64:
				v = c.regs[in.RM&31] | uint64(in.Imm)
				c.ccA, c.ccOp = v, ccLogic|cc64
				c.regs[in.RM&31] = v
			case codeOrRM64:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask == e.r {
					v = *(*uint64)(unsafe.Add(e.page, lin&pageMask))
				} else if v, ok = c.loadSlow(lin, 8); !ok {
					goto trap
				}
				v = c.regs[in.Reg&31] | v
				c.ccA, c.ccOp = v, ccLogic|cc64
				c.regs[in.Reg&31] = v
			case codeOrRR32:
				v = uint64(uint32(c.regs[in.Reg&31] | c.regs[in.RM&31]))
				c.ccA, c.ccOp = v<<32, ccLogic|cc32
				c.regs[in.Reg&31] = v
			case codeOrRI32:
				v = uint64(uint32(c.regs[in.RM&31] | uint64(in.Imm)))
				c.ccA, c.ccOp = v<<32, ccLogic|cc32
				c.regs[in.RM&31] = v
			case codeOrRM32:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+3)&^pageMask == e.r {
					v = uint64(*(*uint32)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 4); !ok {
					goto trap
				}
				v = uint64(uint32(c.regs[in.Reg&31] | v))
				c.ccA, c.ccOp = v<<32, ccLogic|cc32
				c.regs[in.Reg&31] = v
			case codeXorRR64:
				v = c.regs[in.Reg&31] ^ c.regs[in.RM&31]
				c.ccA, c.ccOp = v, ccLogic|cc64
				c.regs[in.Reg&31] = v
			case codeXorRI64:
				v = c.regs[in.RM&31] ^ uint64(in.Imm)
				c.ccA, c.ccOp = v, ccLogic|cc64
				c.regs[in.RM&31] = v
			case codeXorRM64:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask == e.r {
					v = *(*uint64)(unsafe.Add(e.page, lin&pageMask))
				} else if v, ok = c.loadSlow(lin, 8); !ok {
					goto trap
				}
				v = c.regs[in.Reg&31] ^ v
				c.ccA, c.ccOp = v, ccLogic|cc64
				c.regs[in.Reg&31] = v
			case codeXorRR32:
				v = uint64(uint32(c.regs[in.Reg&31] ^ c.regs[in.RM&31]))
				c.ccA, c.ccOp = v<<32, ccLogic|cc32
				c.regs[in.Reg&31] = v
			case codeXorRI32:
				v = uint64(uint32(c.regs[in.RM&31] ^ uint64(in.Imm)))
				c.ccA, c.ccOp = v<<32, ccLogic|cc32
				c.regs[in.RM&31] = v
			case codeXorRM32:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+3)&^pageMask == e.r {
					v = uint64(*(*uint32)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 4); !ok {
					goto trap
				}
				v = uint64(uint32(c.regs[in.Reg&31] ^ v))
				c.ccA, c.ccOp = v<<32, ccLogic|cc32
				c.regs[in.Reg&31] = v
			case codeCmpRR64:
				c.ccA, c.ccB, c.ccOp = c.regs[in.Reg&31], c.regs[in.RM&31], ccSub|cc64
			case codeCmpRI64:
				c.ccA, c.ccB, c.ccOp = c.regs[in.RM&31], uint64(in.Imm), ccSub|cc64
			case codeCmpRM64:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask == e.r {
					v = *(*uint64)(unsafe.Add(e.page, lin&pageMask))
				} else if v, ok = c.loadSlow(lin, 8); !ok {
					goto trap
				}
				c.ccA, c.ccB, c.ccOp = c.regs[in.Reg&31], v, ccSub|cc64
			case codeCmpRR32:
				c.ccA, c.ccB, c.ccOp = c.regs[in.Reg&31]<<32, c.regs[in.RM&31]<<32, ccSub|cc32
			case codeCmpRI32:
				c.ccA, c.ccB, c.ccOp = c.regs[in.RM&31]<<32, uint64(in.Imm)<<32, ccSub|cc32
			case codeCmpRM32:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+3)&^pageMask == e.r {
					v = uint64(*(*uint32)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 4); !ok {
					goto trap
				}
				c.ccA, c.ccB, c.ccOp = c.regs[in.Reg&31]<<32, v<<32, ccSub|cc32
			case codeTestRR64:
				v = c.regs[in.Reg&31] & c.regs[in.RM&31]
				c.ccA, c.ccOp = v, ccLogic|cc64
			case codeTestRR32:
				v = uint64(uint32(c.regs[in.Reg&31] & c.regs[in.RM&31]))
				c.ccA, c.ccOp = v<<32, ccLogic|cc32
			case codeTestRI32:
				v = uint64(uint32(c.regs[in.RM&31] & uint64(in.Imm)))
				c.ccA, c.ccOp = v<<32, ccLogic|cc32
			case codeCmpRR8:
				c.ccA, c.ccB, c.ccOp = c.regs[in.Reg&31]<<56, c.regs[in.RM&31]<<56, ccSub|cc8
			case codeCmpRI8:
				c.ccA, c.ccB, c.ccOp = c.regs[in.RM&31]<<56, uint64(in.Imm)<<56, ccSub|cc8
			case codeTestRR8:
				c.ccA, c.ccOp = (c.regs[in.Reg&31]&c.regs[in.RM&31])<<56, ccLogic|cc8
			case codeTestRI8:
				c.ccA, c.ccOp = (c.regs[in.RM&31]&uint64(in.Imm))<<56, ccLogic|cc8
			case codeCmpMR64:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask == e.r {
					v = *(*uint64)(unsafe.Add(e.page, lin&pageMask))
				} else if v, ok = c.loadSlow(lin, 8); !ok {
					goto trap
				}
				c.ccA, c.ccB, c.ccOp = v, c.regs[in.Reg&31], ccSub|cc64
			case codeCmpMI64:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask == e.r {
					v = *(*uint64)(unsafe.Add(e.page, lin&pageMask))
				} else if v, ok = c.loadSlow(lin, 8); !ok {
					goto trap
				}
				c.ccA, c.ccB, c.ccOp = v, uint64(in.Imm), ccSub|cc64
			case codeCmpMR32:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+3)&^pageMask == e.r {
					v = uint64(*(*uint32)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 4); !ok {
					goto trap
				}
				c.ccA, c.ccB, c.ccOp = v<<32, c.regs[in.Reg&31]<<32, ccSub|cc32
			case codeCmpMI32:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+3)&^pageMask == e.r {
					v = uint64(*(*uint32)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 4); !ok {
					goto trap
				}
				c.ccA, c.ccB, c.ccOp = v<<32, uint64(in.Imm)<<32, ccSub|cc32
			case codeCmpMI8:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+0)&^pageMask == e.r {
					v = uint64(*(*uint8)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 1); !ok {
					goto trap
				}
				c.ccA, c.ccB, c.ccOp = v<<56, uint64(in.Imm)<<56, ccSub|cc8
			case codeTestMI8:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+0)&^pageMask == e.r {
					v = uint64(*(*uint8)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 1); !ok {
					goto trap
				}
				c.ccA, c.ccOp = (v&uint64(in.Imm))<<56, ccLogic|cc8
			case codeAddMR64:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask != e.w {
					if !c.handler[in.Op](c, in) {
						goto trap
					}
					continue
				}
				a, b = uint64(*(*uint64)(unsafe.Add(e.page, lin&pageMask))), c.regs[in.Reg&31]
				c.ccA, c.ccB, c.ccOp = a, b, ccAdd|cc64
				*(*uint64)(unsafe.Add(e.page, lin&pageMask)) = uint64(a + b)
			case codeAddMI64:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask != e.w {
					if !c.handler[in.Op](c, in) {
						goto trap
					}
					continue
				}
				a, b = uint64(*(*uint64)(unsafe.Add(e.page, lin&pageMask))), uint64(in.Imm)
				c.ccA, c.ccB, c.ccOp = a, b, ccAdd|cc64
				*(*uint64)(unsafe.Add(e.page, lin&pageMask)) = uint64(a + b)
			case codeAddMI32:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+3)&^pageMask != e.w {
					if !c.handler[in.Op](c, in) {
						goto trap
					}
					continue
				}
				a, b = uint64(*(*uint32)(unsafe.Add(e.page, lin&pageMask))), uint64(in.Imm)
				c.ccA, c.ccB, c.ccOp = a<<32, b<<32, ccAdd|cc32
				*(*uint32)(unsafe.Add(e.page, lin&pageMask)) = uint32(a + b)
			case codeAdcRR64:
				b = c.regs[in.RM&31]
				v, a = bits.Add64(c.regs[in.Reg&31], b, c.cf())
				c.ccB = a | (c.regs[in.Reg&31]^b^v)&x86.FlagAF | (c.regs[in.Reg&31]^v)&(b^v)>>63<<11
				c.ccA, c.ccOp = v, ccRes|cc64
				c.regs[in.Reg&31] = v
			case codeAdcRI64:
				b = uint64(in.Imm)
				v, a = bits.Add64(c.regs[in.RM&31], b, c.cf())
				c.ccB = a | (c.regs[in.RM&31]^b^v)&x86.FlagAF | (c.regs[in.RM&31]^v)&(b^v)>>63<<11
				c.ccA, c.ccOp = v, ccRes|cc64
				c.regs[in.RM&31] = v
			case codeAdcRM64:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask == e.r {
					v = *(*uint64)(unsafe.Add(e.page, lin&pageMask))
				} else if v, ok = c.loadSlow(lin, 8); !ok {
					goto trap
				}
				b = v
				v, a = bits.Add64(c.regs[in.Reg&31], b, c.cf())
				c.ccB = a | (c.regs[in.Reg&31]^b^v)&x86.FlagAF | (c.regs[in.Reg&31]^v)&(b^v)>>63<<11
				c.ccA, c.ccOp = v, ccRes|cc64
				c.regs[in.Reg&31] = v
			case codeSbbRR64:
				b = c.regs[in.RM&31]
				v, a = bits.Sub64(c.regs[in.Reg&31], b, c.cf())
				c.ccB = a | (c.regs[in.Reg&31]^b^v)&x86.FlagAF | (c.regs[in.Reg&31]^b)&(c.regs[in.Reg&31]^v)>>63<<11
				c.ccA, c.ccOp = v, ccRes|cc64
				c.regs[in.Reg&31] = v
			case codeMul64:
				a, v = bits.Mul64(c.regs[x86.RAX], c.regs[in.RM&31])
				c.regs[x86.RAX], c.regs[x86.RDX] = v, a
				c.ccA, c.ccB, c.ccOp = v, 0, ccRes|cc64
				if a != 0 {
					c.ccB = x86.FlagCF | x86.FlagOF
				}
			case codeImul64:
				a, v = mulSigned(c.regs[in.Reg&31], c.regs[in.RM&31])
				c.regs[in.Reg&31] = v
				c.ccA, c.ccB, c.ccOp = v, 0, ccRes|cc64
				if a != uint64(int64(v)>>63) {
					c.ccB = x86.FlagCF | x86.FlagOF
				}
			case codeImul32:
				v = uint64(int64(int32(c.regs[in.Reg&31])) * int64(int32(c.regs[in.RM&31])))
				c.regs[in.Reg&31] = uint64(uint32(v))
				c.ccA, c.ccB, c.ccOp = v<<32, 0, ccRes|cc32
				if uint64(int64(int32(v))) != v {
					c.ccB = x86.FlagCF | x86.FlagOF
				}
			case codeInc64:
				c.ccB = c.cf()
				v = c.regs[in.RM&31] + 1
				c.ccA, c.ccOp = v, ccInc|cc64
				c.regs[in.RM&31] = v
			case codeInc32:
				c.ccB = c.cf()
				v = uint64(uint32(c.regs[in.RM&31] + 1))
				c.ccA, c.ccOp = v<<32, ccInc|cc32
				c.regs[in.RM&31] = v
			case codeDec64:
				c.ccB = c.cf()
				v = c.regs[in.RM&31] - 1
				c.ccA, c.ccOp = v, ccDec|cc64
				c.regs[in.RM&31] = v
			case codeDec32:
				c.ccB = c.cf()
				v = uint64(uint32(c.regs[in.RM&31] - 1))
				c.ccA, c.ccOp = v<<32, ccDec|cc32
				c.regs[in.RM&31] = v
			case codeNeg64:
				a = c.regs[in.RM&31]
				c.ccA, c.ccB, c.ccOp = 0, a, ccSub|cc64
				c.regs[in.RM&31] = -a
			case codeNot64:
				c.regs[in.RM&31] = ^c.regs[in.RM&31]
			case codeShl64:
				a, b = c.regs[in.RM&31], uint64(in.Imm)
				v = a << (b & 63)
				a = a >> ((64 - b) & 63) & 1
				c.ccA, c.ccB, c.ccOp = v, a|(v>>63^a)<<11, ccRes|cc64
				c.regs[in.RM&31] = v
			case codeShr64:
				a, b = c.regs[in.RM&31], uint64(in.Imm)
				v = a >> (b & 63)
				c.ccA, c.ccB, c.ccOp = v, a>>((b-1)&63)&1|((v^v<<1)>>63&1)<<11, ccRes|cc64
				c.regs[in.RM&31] = v
			case codeSar64:
				a, b = uint64(int64(c.regs[in.RM&31])), uint64(in.Imm)
				v = uint64(int64(a) >> (b & 63))
				c.ccA, c.ccB, c.ccOp = v, uint64(int64(a)>>((b-1)&63))&1, ccRes|cc64
				c.regs[in.RM&31] = v
			case codeShl32:
				a, b = uint64(uint32(c.regs[in.RM&31])), uint64(in.Imm)
				v = uint64(uint32(a << (b & 63)))
				a = a >> ((32 - b) & 63) & 1
				c.ccA, c.ccB, c.ccOp = v<<32, a|(v>>31^a)<<11, ccRes|cc32
				c.regs[in.RM&31] = v
			case codeShr32:
				a, b = uint64(uint32(c.regs[in.RM&31])), uint64(in.Imm)
				v = a >> (b & 63)
				c.ccA, c.ccB, c.ccOp = v<<32, a>>((b-1)&63)&1|((v^v<<1)>>31&1)<<11, ccRes|cc32
				c.regs[in.RM&31] = v
			case codeSar32:
				a, b = uint64(int64(int32(c.regs[in.RM&31]))), uint64(in.Imm)
				v = uint64(uint32(uint64(int64(a) >> (b & 63))))
				c.ccA, c.ccB, c.ccOp = v<<32, uint64(int64(a)>>((b-1)&63))&1, ccRes|cc32
				c.regs[in.RM&31] = v
			case codeRol32:
				v = uint64(bits.RotateLeft32(uint32(c.regs[in.RM&31]), int(in.Imm)))
				c.setCFOF(v, v>>31^v)
				c.regs[in.RM&31] = v
			case codeRor32:
				v = uint64(bits.RotateLeft32(uint32(c.regs[in.RM&31]), -int(in.Imm)))
				c.setCFOF(v>>31, v>>31^v>>30)
				c.regs[in.RM&31] = v
			case codePush64:
				v = c.regs[in.RM&31]
				if !c.push64(v) {
					goto trap
				}
			case codePushI64:
				if !c.push64(uint64(in.Imm)) {
					goto trap
				}
			case codePop64:
				lin = c.regs[x86.RSP]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask == e.r {
					v = *(*uint64)(unsafe.Add(e.page, lin&pageMask))
				} else if v, ok = c.loadSlow(lin, 8); !ok {
					goto trap
				}
				c.regs[x86.RSP] = lin + 8
				c.regs[in.RM&31] = v
			case codeCmovRR64:
				if c.cond(in.Opcode) {
					c.regs[in.Reg&31] = c.regs[in.RM&31]
				}
			case codeCmovRR32:
				if c.cond(in.Opcode) {
					c.regs[in.Reg&31] = c.regs[in.RM&31]
				}
				c.regs[in.Reg&31] = uint64(uint32(c.regs[in.Reg&31]))
			case codeSetccR:
				c.regs[in.RM&31] = c.regs[in.RM&31]&^0xff | b2u(c.cond(in.Opcode))
			case codeJcc:
				taken = c.cond(in.Opcode)
				goto branch
			case codeCmpRRJcc64:
				c.ccA, c.ccB, c.ccOp = c.regs[in.Reg&31], c.regs[in.RM&31], ccSub|cc64
				i++
				in = &insts[i]
				if in.Opcode&0xe == 4 {
					taken = c.ccA == c.ccB == (in.Opcode&1 == 0)
				} else {
					taken = c.cond(in.Opcode)
				}
				goto branch
			case codeCmpRRJcc32:
				c.ccA, c.ccB, c.ccOp = c.regs[in.Reg&31]<<32, c.regs[in.RM&31]<<32, ccSub|cc32
				i++
				in = &insts[i]
				if in.Opcode&0xe == 4 {
					taken = c.ccA == c.ccB == (in.Opcode&1 == 0)
				} else {
					taken = c.cond(in.Opcode)
				}
				goto branch
			case codeCmpRIJcc64:
				c.ccA, c.ccB, c.ccOp = c.regs[in.RM&31], uint64(in.Imm), ccSub|cc64
				i++
				in = &insts[i]
				if in.Opcode&0xe == 4 {
					taken = c.ccA == c.ccB == (in.Opcode&1 == 0)
				} else {
					taken = c.cond(in.Opcode)
				}
				goto branch
			case codeCmpRIJcc32:
				c.ccA, c.ccB, c.ccOp = c.regs[in.RM&31]<<32, uint64(in.Imm)<<32, ccSub|cc32
				i++
				in = &insts[i]
				if in.Opcode&0xe == 4 {
					taken = c.ccA == c.ccB == (in.Opcode&1 == 0)
				} else {
					taken = c.cond(in.Opcode)
				}
				goto branch
			case codeTestRRJcc64:
				c.ccA, c.ccOp = (c.regs[in.Reg&31] & c.regs[in.RM&31]), ccLogic|cc64
				i++
				in = &insts[i]
				if in.Opcode&0xe == 4 {
					taken = c.ccA == 0 == (in.Opcode&1 == 0)
				} else {
					taken = c.cond(in.Opcode)
				}
				goto branch
			case codeTestRRJcc32:
				c.ccA, c.ccOp = (c.regs[in.Reg&31]&c.regs[in.RM&31])<<32, ccLogic|cc32
				i++
				in = &insts[i]
				if in.Opcode&0xe == 4 {
					taken = c.ccA == 0 == (in.Opcode&1 == 0)
				} else {
					taken = c.cond(in.Opcode)
				}
				goto branch
			case codeJmp:
				taken = true
				goto branch
			case codeCall:
				if !c.push64(rip + uint64(in.Off) + uint64(in.Len)) {
					goto trap
				}
				taken = true
				goto branch
			case codeRet:
				lin = c.regs[x86.RSP]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+7)&^pageMask == e.r {
					v = *(*uint64)(unsafe.Add(e.page, lin&pageMask))
				} else if v, ok = c.loadSlow(lin, 8); !ok {
					goto trap
				}
				if !canonical(v) {
					c.gp(0)
					goto trap
				}
				c.regs[x86.RSP] = lin + 8 + uint64(in.Imm)
				goto indirect
			case codeJmpR:
				v = c.regs[in.RM&31]
				if !canonical(v) {
					c.gp(0)
					goto trap
				}
				goto indirect
			case codeCallR:
				v = c.regs[in.RM&31]
				if !canonical(v) {
					c.gp(0)
					goto trap
				}
				if !c.push64(rip + uint64(in.Off) + uint64(in.Len)) {
					goto trap
				}
				goto indirect
			case codePush32:
				if !c.push32(c.regs[in.RM&31]) {
					goto trap
				}
			case codePushI32:
				if !c.push32(uint64(in.Imm)) {
					goto trap
				}
			case codePop32:
				if v, ok = c.pop32(); !ok {
					goto trap
				}
				c.regs[in.RM&31] = v
			case codeCall32:
				if !c.push32(rip + uint64(in.Off) + uint64(in.Len)) {
					goto trap
				}
				taken = true
				goto branch
			case codeRet32:
				if v, ok = c.pop32(); !ok {
					goto trap
				}
				goto indirect
			case codeJmpR32:
				v = uint64(uint32(c.regs[in.RM&31]))
				goto indirect
			case codeCallR32:
				v = uint64(uint32(c.regs[in.RM&31]))
				if !c.push32(rip + uint64(in.Off) + uint64(in.Len)) {
					goto trap
				}
				goto indirect
			case codeAddMR32:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+3)&^pageMask != e.w {
					if !c.handler[in.Op](c, in) {
						goto trap
					}
					continue
				}
				a, b = uint64(*(*uint32)(unsafe.Add(e.page, lin&pageMask))), uint64(uint32(c.regs[in.Reg&31]))
				c.ccA, c.ccB, c.ccOp = a<<32, b<<32, ccAdd|cc32
				*(*uint32)(unsafe.Add(e.page, lin&pageMask)) = uint32(a + b)
			case codeAdcRR32:
				c.regs[in.Reg&31] = c.adc32(c.regs[in.Reg&31], c.regs[in.RM&31])
			case codeAdcRI32:
				c.regs[in.RM&31] = c.adc32(c.regs[in.RM&31], uint64(in.Imm))
			case codeAdcRM32:
				lin = c.regs[in.Base&31] + c.regs[in.Index&31]<<(in.Scale&63) + uint64(int64(in.Disp)) + c.segBase[in.Seg&7]
				e = &c.dtlb.e[lin>>12&(tlbSize-1)]
				if (lin+3)&^pageMask == e.r {
					v = uint64(*(*uint32)(unsafe.Add(e.page, lin&pageMask)))
				} else if v, ok = c.loadSlow(lin, 4); !ok {
					goto trap
				}
				c.regs[in.Reg&31] = c.adc32(c.regs[in.Reg&31], v)
			case codeSbbRR32:
				a, b = uint64(uint32(c.regs[in.Reg&31])), uint64(uint32(c.regs[in.RM&31]))
				v = a - b - c.cf()
				c.ccB = v>>63 | (a^b^v)&x86.FlagAF | (a^b)&(a^v)>>31&1<<11
				c.ccA, c.ccOp = v<<32, ccRes|cc32
				c.regs[in.Reg&31] = uint64(uint32(v))
			case codeMul32:
				v = uint64(uint32(c.regs[x86.RAX])) * uint64(uint32(c.regs[in.RM&31]))
				c.regs[x86.RAX], c.regs[x86.RDX] = uint64(uint32(v)), v>>32
				c.ccA, c.ccB, c.ccOp = v<<32, 0, ccRes|cc32
				if v>>32 != 0 {
					c.ccB = x86.FlagCF | x86.FlagOF
				}
			case codeResync:
				goto resync
			default:
				if !c.handler[in.Op](c, in) {
					goto trap
				}
			}
		}
		c.icount += uint64(len(insts))
		if blk.end == endBranch {
			rip = c.rip
			blk = nil
			continue
		}
		rip += uint64(blk.size)
		if c.mode != decode.Mode64 {
			rip = c.cutRIP(rip)
		}
		to = rip
		taken = false
		if blk.end == endBreak {
			blk = nil
			continue
		}
		goto chain

	branch:
		c.icount += uint64(len(insts))
		to = rip + uint64(in.Off) + uint64(in.Len)
		if taken {
			to = (to + uint64(in.Imm)) & c.ripMask
			if !canonical(to) {
				c.icount -= uint64(len(insts))
				c.undoCall(in)
				c.gp(0)
				goto trap
			}
		} else {
			to &= c.ripMask
		}
	chain:
		if taken {
			nb = blk.next[1]
		} else {
			nb = blk.next[0]
		}
		if nb != nil && atomic.LoadUint32(nb.verp) == nb.ver && !c.single {
			rip, blk = to, nb
			continue
		}
		if (to^c.curRIP)&^pageMask == 0 && c.chains && !c.single && blk.verp2 == nil {
			// The target lies in the page this block was found in, so the translation is the same.
			rip = to
			nb, v = blk, c.blocks.epoch
			if c.attn.Load() == 0 {
				if blk = c.lookup(rip); blk != nil && blk.verp2 == nil && v == c.blocks.epoch {
					if taken {
						nb.next[1] = blk
					} else {
						nb.next[0] = blk
					}
					continue
				}
			}
			c.stop = stopNone
			blk = nil
			continue
		}
		v = to
		goto cached

	indirect:
		c.icount += uint64(len(insts))
	cached:
		rip = v
		blk = nil
		je = &c.jc.e[(rip^rip>>12)&(jcSize-1)]
		if je.rip == rip && je.gen == c.gen && atomic.LoadUint32(je.blk.verp) == je.blk.ver && !c.single {
			blk = je.blk
		}
		continue

	resync:
		c.icount += uint64(i)
		rip += uint64(in.Off)
		blk = nil
		continue

	trap:
		if c.stop == stopChecked { // an access of 32-bit code through a segment that is not flat
			c.stop = stopNone
			if c.handler[in.Op](c, in) {
				c.icount += uint64(i + 1)
				rip = c.cutRIP(rip + uint64(in.Off) + uint64(in.Len))
				blk = nil
				continue
			}
		}
		c.rip = rip + uint64(in.Off)
		if !c.trap(in, i) {
			return
		}
		rip = c.rip
		blk = nil
	}
}

// push64 is push in 64-bit mode.
func (c *CPU) push64(v uint64) bool {
	lin := c.regs[x86.RSP] - 8
	e := &c.dtlb.e[lin>>12&(tlbSize-1)]
	if (lin+7)&^pageMask == e.w {
		*(*uint64)(unsafe.Add(e.page, lin&pageMask)) = v
	} else if !c.storeSlow(lin, v, 8) {
		return false
	}
	c.regs[x86.RSP] = lin
	return true
}
