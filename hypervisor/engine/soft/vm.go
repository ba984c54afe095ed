package soft

import (
	"sync"
	"sync/atomic"
	"time"

	"gozen/hypervisor/guestmem"
)

// VM is a virtual machine of the software CPU.
type VM struct {
	dstFirst [2]bool // of CMPS, and of REPE CMPSB; see Config
	mem      *guestmem.Memory
	tsc      func(uint64) uint64
	start    time.Time
	seed     uint64
	code     codePages

	mu   sync.Mutex // guards growing cpus
	cpus atomic.Pointer[[]*CPU]
}

// Memory implements engine.VM.
func (vm *VM) Memory() *guestmem.Memory { return vm.mem }

// Close implements engine.VM.
func (vm *VM) Close() error { return nil }

func (vm *VM) snapshot() []*CPU {
	if p := vm.cpus.Load(); p != nil {
		return *p
	}
	return nil
}

// memoryChanged is told by guest memory that frames have other pages now. The vCPU that asked for it runs a
// hypercall and sees the flag before its next block; so do all others at theirs.
func (vm *VM) memoryChanged(first guestmem.GFN, n uint64) {
	for i := uint64(0); i < n; i++ {
		vm.code.bump(first + guestmem.GFN(i))
	}
	for _, c := range vm.snapshot() {
		c.attn.Or(attnFlush)
	}
}

func (vm *VM) hostWrote(g guestmem.GFN) { vm.code.bump(g) }
