package vcpu

import (
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/engine"
)

// Counts counts exits by exact cause. The vCPU's goroutine writes; others may read, and may then see a count that is
// an instant old.
type Counts struct {
	Exits      [engine.NumKinds]uint64
	Interrupts uint64 // injected through the local APIC
	Upcalls    uint64 // injected as callback vector
	Ports      Table
	MSRs       Table
	MMIO       Table
}

// Table counts by a 32-bit number and direction, in a fixed space: numbers beyond its size are counted together.
type Table struct {
	keys   [tableSize]uint64 // number<<2 | write<<1 | 1
	counts [tableSize]uint64
	Other  uint64
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
		if t.keys[i] == key {
			t.counts[i]++
			return
		}
		if t.keys[i] == 0 {
			t.keys[i], t.counts[i] = key, 1
			return
		}
		i = (i + 1) & (tableSize - 1)
	}
	t.Other++
}

// Each calls f for every number counted.
func (t *Table) Each(f func(n uint32, write bool, count uint64)) {
	for i, k := range t.keys {
		if k != 0 {
			f(uint32(k>>2), k&2 != 0, t.counts[i])
		}
	}
}

// account takes the thread's CPU time.
func (l *Loop) account() {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) == nil {
		l.busy.Store(int64(time.Duration(ts.Nano())))
	}
}
