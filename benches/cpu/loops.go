// Package cpu is the six loops that compare the speed of CPU engines: copy, sieve, hash, chase, calls and sort, each a PVH kernel
// of its own that repeats its work a given number of times and powers off.
package cpu

import (
	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
)

// Loop is one benchmark.
type Loop struct {
	Name string
	// Rounds is about a second's work for a fast engine.
	Rounds uint32
	body   func(a *asm.Asm)
	setup  func(a *asm.Asm)
}

// Loops lists the six.
func Loops() []Loop {
	return []Loop{
		{Name: "copy", Rounds: 6000, body: copyLoop},
		{Name: "sieve", Rounds: 120, body: sieve},
		{Name: "hash", Rounds: 200, body: hash},
		{Name: "chase", Rounds: 1500, body: chase, setup: chaseSetup},
		{Name: "calls", Rounds: 250, body: fib},
		{Name: "sort", Rounds: 2500, body: sortLoop},
	}
}

// Image makes the loop's kernel for a number of rounds.
func (l Loop) Image(rounds uint32) ([]byte, error) {
	return tiny.Image(func(a *asm.Asm) {
		if l.setup != nil {
			l.setup(a)
		}
		a.MovI(asm.R15, uint64(rounds))
		a.Test(4, asm.R15, asm.R15)
		a.Jcc(asm.E, "done")
		a.Label("round")
		l.body(a)
		a.Dec(4, asm.R15)
		a.Jcc(asm.NE, "round")
		a.Label("done")
		a.Ret()
		if l.Name == "calls" {
			fibFunc(a)
		}
	})
}

const (
	src = tiny.Data
	dst = tiny.Data + 0x291000 // not a power of two away, which would make the two collide in a direct-mapped TLB
)

// copyLoop copies 256 KiB, 8 bytes a turn.
func copyLoop(a *asm.Asm) {
	a.MovI(asm.RSI, src)
	a.MovI(asm.RDI, dst)
	a.MovI(asm.RCX, 256<<10/8)
	a.Align(16)
	a.Label("copy")
	a.Load(8, asm.RAX, asm.At(asm.RSI, 0))
	a.Store(8, asm.At(asm.RDI, 0), asm.RAX)
	a.OpI(asm.ADD, 8, asm.RSI, 8)
	a.OpI(asm.ADD, 8, asm.RDI, 8)
	a.OpI(asm.SUB, 8, asm.RCX, 1)
	a.Jcc(asm.NE, "copy")
}

// sieve marks the composites below 1 Mi, a byte each.
func sieve(a *asm.Asm) {
	const n = 1 << 20
	a.MovI(asm.RDI, src)
	a.MovI(asm.RCX, n/8)
	a.Op(asm.XOR, 4, asm.RAX, asm.RAX)
	a.Label("clear")
	a.Store(8, asm.At(asm.RDI, 0), asm.RAX)
	a.OpI(asm.ADD, 8, asm.RDI, 8)
	a.OpI(asm.SUB, 8, asm.RCX, 1)
	a.Jcc(asm.NE, "clear")
	a.MovI(asm.RBX, src)
	a.MovI(asm.RSI, 2)
	a.Label("next")
	a.Movzx8(asm.RAX, asm.Idx(asm.RBX, asm.RSI, 1, 0))
	a.Test(4, asm.RAX, asm.RAX)
	a.Jcc(asm.NE, "composite")
	a.Mov(8, asm.RDI, asm.RSI)
	a.Imul(8, asm.RDI, asm.RSI)
	a.OpI(asm.CMP, 8, asm.RDI, n)
	a.Jcc(asm.AE, "composite")
	a.MovI(asm.RDX, 1)
	a.Label("mark")
	a.Store(1, asm.Idx(asm.RBX, asm.RDI, 1, 0), asm.RDX)
	a.Op(asm.ADD, 8, asm.RDI, asm.RSI)
	a.OpI(asm.CMP, 8, asm.RDI, n)
	a.Jcc(asm.B, "mark")
	a.Label("composite")
	a.Inc(8, asm.RSI)
	a.OpI(asm.CMP, 8, asm.RSI, 1024)
	a.Jcc(asm.B, "next")
}

// hash is FNV-1a over 1 MiB.
func hash(a *asm.Asm) {
	a.MovI(asm.RSI, src)
	a.MovI(asm.RCX, 1<<20)
	a.MovI(asm.RAX, 0xcbf29ce484222325)
	a.MovI(asm.R8, 0x100000001b3)
	a.Label("hash")
	a.Movzx8(asm.RDX, asm.At(asm.RSI, 0))
	a.Op(asm.XOR, 8, asm.RAX, asm.RDX)
	a.Imul(8, asm.RAX, asm.R8)
	a.Inc(8, asm.RSI)
	a.Dec(8, asm.RCX)
	a.Jcc(asm.NE, "hash")
}

// chaseSetup links 16,384 lines of 64 bytes (1 MiB) into one cycle: line i points to line (i*5+1) mod 16384,
// a full-period congruence.
func chaseSetup(a *asm.Asm) {
	a.MovI(asm.RBX, src)
	a.Op(asm.XOR, 4, asm.RSI, asm.RSI)
	a.Label("link")
	a.Lea(8, asm.RDI, asm.Idx(asm.RSI, asm.RSI, 4, 1))
	a.OpI(asm.AND, 4, asm.RDI, 16383)
	a.Shl(8, asm.RDI, 6)
	a.Op(asm.ADD, 8, asm.RDI, asm.RBX)
	a.Mov(8, asm.RDX, asm.RSI)
	a.Shl(8, asm.RDX, 6)
	a.Store(8, asm.Idx(asm.RBX, asm.RDX, 1, 0), asm.RDI)
	a.Inc(8, asm.RSI)
	a.OpI(asm.CMP, 8, asm.RSI, 16384)
	a.Jcc(asm.B, "link")
}

func chase(a *asm.Asm) {
	a.MovI(asm.RAX, src)
	a.MovI(asm.RCX, 16384*8)
	a.Label("chase")
	a.Load(8, asm.RAX, asm.At(asm.RAX, 0))
	a.Dec(8, asm.RCX)
	a.Jcc(asm.NE, "chase")
}

func fib(a *asm.Asm) {
	a.MovI(asm.RDI, 25)
	a.Call("fib")
}

// fibFunc is the recursive Fibonacci function: argument in rdi, result in rax.
func fibFunc(a *asm.Asm) {
	a.Align(16)
	a.Label("fib")
	a.Mov(8, asm.RAX, asm.RDI)
	a.OpI(asm.CMP, 8, asm.RDI, 2)
	a.Jcc(asm.B, "leaf")
	a.Push(asm.RDI)
	a.OpI(asm.SUB, 8, asm.RDI, 1)
	a.Call("fib")
	a.Pop(asm.RDI)
	a.Push(asm.RAX)
	a.OpI(asm.SUB, 8, asm.RDI, 2)
	a.Call("fib")
	a.Pop(asm.RDX)
	a.Op(asm.ADD, 8, asm.RAX, asm.RDX)
	a.Label("leaf")
	a.Ret()
}

// sortLoop fills 512 words from a generator and sorts them by insertion.
func sortLoop(a *asm.Asm) {
	const n = 512
	a.MovI(asm.RBX, src)
	a.MovI(asm.RAX, 12345)
	a.Op(asm.XOR, 4, asm.RSI, asm.RSI)
	a.MovI(asm.R8, 1103515245)
	a.Label("fill")
	a.Imul(4, asm.RAX, asm.R8)
	a.OpI(asm.ADD, 4, asm.RAX, 12345)
	a.Store(8, asm.Idx(asm.RBX, asm.RSI, 8, 0), asm.RAX)
	a.Inc(8, asm.RSI)
	a.OpI(asm.CMP, 8, asm.RSI, n)
	a.Jcc(asm.B, "fill")
	a.MovI(asm.RSI, 1)
	a.Label("outer")
	a.Load(8, asm.RAX, asm.Idx(asm.RBX, asm.RSI, 8, 0))
	a.Mov(8, asm.RDI, asm.RSI)
	a.Label("inner")
	a.Load(8, asm.RDX, asm.Idx(asm.RBX, asm.RDI, 8, -8))
	a.Op(asm.CMP, 8, asm.RDX, asm.RAX)
	a.Jcc(asm.BE, "placed")
	a.Store(8, asm.Idx(asm.RBX, asm.RDI, 8, 0), asm.RDX)
	a.Dec(8, asm.RDI)
	a.Jcc(asm.NE, "inner")
	a.Label("placed")
	a.Store(8, asm.Idx(asm.RBX, asm.RDI, 8, 0), asm.RAX)
	a.Inc(8, asm.RSI)
	a.OpI(asm.CMP, 8, asm.RSI, n)
	a.Jcc(asm.B, "outer")
}
