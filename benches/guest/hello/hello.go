package hello

import (
	"encoding/binary"

	"gozen/benches/guest/linux"
	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// hypercallPage is XEN_ELFNOTE_HYPERCALL_PAGE: this guest makes its hypercalls through a page.
const hypercallPage = 2

// Text is what the guest prints.
const Text = linux.Greeting + "the built-in guest on gozen\r\n  waiting for: xl shutdown\r\n"

// Image gives the kernel, an ELF file with a PVH entry.
func Image() ([]byte, error) {
	return tiny.Image(func(a *asm.Asm) {
		install(a)
		mapHigh(a)
		mapShared(a)
		for _, p := range []struct {
			index uint64
			to    int32
		}{{xen.HVM_PARAM_CONSOLE_PFN, conPage}, {xen.HVM_PARAM_CONSOLE_EVTCHN, conPort}, {xen.HVM_PARAM_STORE_PFN, storePage},
			{xen.HVM_PARAM_STORE_EVTCHN, storePort}} {
			param(a, p.index, p.to)
		}
		put(a, conPage, conPort, []byte(Text), ringOut{data: xen.ConsoleOut, prod: xen.ConsoleOutProd})
		requests := append(message(xen.XS_WATCH, 1, "control/shutdown\x00t\x00"), message(xen.XS_WRITE, 2, "control/feature-poweroff\x001")...)
		store := ringOut{data: xen.XenstoreReq, prod: xen.XenstoreReqProd}
		put(a, storePage, storePort, requests, store)
		a.MovI(asm.R12, 0)
		awaitWatch(a, "asked", 2) // the first is for the watch itself
		store.used = len(requests)
		put(a, storePage, storePort, message(xen.XS_WRITE, 3, "control/shutdown\x00"), store)
		awaitWatch(a, "acknowledged", 1) // of our own write
		a.Ret()                          // powers off
	}, tiny.Note{Type: hypercallPage, Desc: binary.LittleEndian.AppendUint32(nil, calls)})
}

// message is one request of xenstored's wire protocol.
func message(typ, id uint32, payload string) []byte {
	b := make([]byte, 16, 16+len(payload))
	binary.LittleEndian.PutUint32(b, typ)
	binary.LittleEndian.PutUint32(b[4:], id)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(payload)))
	return append(b, payload...)
}

// ringOut says where a ring lies in its page: the data, and the producer's index, and how many bytes went through it so far.
type ringOut struct {
	data, prod int32
	used       int
}

// put writes all of b to a ring that has room for it without wrapping, and notifies the other end. The page's frame number and the
// port are in variables; rbx is the page afterwards.
func put(a *asm.Asm, page, port int32, b []byte, r ringOut) {
	pageOf(a, page)
	for i := 0; i < len(b); i += 4 {
		var w [4]byte
		copy(w[:], b[i:])
		a.MovI(asm.RAX, uint64(binary.LittleEndian.Uint32(w[:])))
		a.Store(4, asm.At(asm.RBX, r.data+int32(r.used+i)), asm.RAX)
	}
	a.MovI(asm.RAX, uint64(r.used+len(b)))
	a.Store(4, asm.At(asm.RBX, r.prod), asm.RAX)
	send(a, port)
}

// pageOf loads the address of the page whose frame number is in a variable into rbx.
func pageOf(a *asm.Asm, page int32) {
	a.Load(8, asm.RBX, asm.Abs(page))
	a.Shl(8, asm.RBX, 12)
}

// awaitWatch reads what xenstore answers until the watch has fired n times more. All of it is much shorter than the ring, so the index
// never wraps. r12 is the consumer's index over the whole life, r13 counts.
func awaitWatch(a *asm.Asm, name string, n int32) {
	look, sleep := "look "+name, "wait "+name
	a.MovI(asm.R13, 0)
	a.Jmp(look)
	a.Label(sleep)
	wait(a, storePort)
	a.Label(look)
	pageOf(a, storePage)
	a.Load(4, asm.RCX, asm.At(asm.RBX, xen.XenstoreRspProd))
	a.Op(asm.SUB, 4, asm.RCX, asm.R12)
	a.OpI(asm.CMP, 4, asm.RCX, 16)
	a.Jcc(asm.B, sleep)
	a.Mov(8, asm.RDX, asm.RBX)
	a.Op(asm.ADD, 8, asm.RDX, asm.R12)
	a.Load(4, asm.RAX, asm.At(asm.RDX, xen.XenstoreRsp+12))
	a.OpI(asm.ADD, 4, asm.RAX, 16)
	a.Op(asm.CMP, 4, asm.RCX, asm.RAX)
	a.Jcc(asm.B, sleep)
	a.Load(4, asm.RCX, asm.At(asm.RDX, xen.XenstoreRsp))
	a.Op(asm.ADD, 4, asm.R12, asm.RAX)
	a.Store(4, asm.At(asm.RBX, xen.XenstoreRspCons), asm.R12)
	a.OpI(asm.CMP, 4, asm.RCX, xen.XS_WATCH_EVENT)
	a.Jcc(asm.NE, look)
	a.Inc(4, asm.R13)
	a.OpI(asm.CMP, 4, asm.R13, n)
	a.Jcc(asm.NE, look)
}
