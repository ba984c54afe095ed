package vcpu

import (
	"sync/atomic"

	"gozen/hypervisor/engine"
)

// Counts counts exits by exact cause. The vCPU's goroutine writes; others may read, and may then see a count that is
// an instant old.
type Counts struct {
	Exits      [engine.NumKinds]atomic.Uint64
	Interrupts atomic.Uint64 // injected through the local APIC
	Upcalls    atomic.Uint64 // injected as callback vector; on arm64, raised lines, counted by whoever raises
	Ports      Table
	MSRs       Table
	MMIO       Table
}

// Table counts by a 32-bit number and direction, in a fixed space: numbers beyond its size are counted together.
type Table struct {
	keys   [tableSize]atomic.Uint64 // number<<2 | write<<1 | 1
	counts [tableSize]atomic.Uint64
	Other  atomic.Uint64
}

const tableSize = 256

// Add counts one access.
func (t *Table) Add(n uint32, write bool) {
	key := uint64(n)<<2 | 1
	if write {
		key |= 2
	}
	i := key * 0x9e3779b97f4a7c15 >> 56
	for range tableSize {
		switch t.keys[i].Load() {
		case 0:
			t.keys[i].Store(key)
			fallthrough
		case key:
			t.counts[i].Add(1)
			return
		}
		i = (i + 1) & (tableSize - 1)
	}
	t.Other.Add(1)
}

// Each calls f for every number counted.
func (t *Table) Each(f func(n uint32, write bool, count uint64)) {
	for i := range t.keys {
		if k := t.keys[i].Load(); k != 0 {
			f(uint32(k>>2), k&2 != 0, t.counts[i].Load())
		}
	}
}
