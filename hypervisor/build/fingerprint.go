package build

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

var crcTable = crc64.MakeTable(crc64.ECMA)

// Fingerprint is a hash of the registers of all vCPUs and of guest RAM, for comparing deterministic runs. No vCPU may be running:
// call it from the scheduler's Observe, or after the end.
func (m *Machine) Fingerprint() uint64 {
	sum := uint64(0)
	for _, l := range m.loops {
		var s x86.State
		l.Eng.Get(&s)
		sum = crc64.Update(sum, crcTable, fmt.Appendf(nil, "%v", s))
	}
	var zero [guestmem.PageSize]byte
	for _, r := range m.mem.RAM() {
		for g := r.Base.GFN(); g < (r.Base + guestmem.GPA(r.Size)).GFN(); g++ {
			p := m.mem.HostPage(g)
			if p == nil || *p == zero {
				continue // empty pages count by their absence
			}
			var n [8]byte
			binary.LittleEndian.PutUint64(n[:], uint64(g))
			sum = crc64.Update(crc64.Update(sum, crcTable, n[:]), crcTable, p[:])
		}
	}
	return sum
}

// Observe makes f be called every n instructions of a deterministic run, with the count in all. Call it before the first Unpause.
func (m *Machine) Observe(n uint64, f func(instructions uint64)) {
	if m.sched != nil {
		m.sched.Every, m.sched.Observe = n, f
	}
}
