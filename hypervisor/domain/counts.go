package domain

import "sync/atomic"

// Sizes of the counters: hypercall numbers, and sub-operations (the last one stands for all others).
const (
	CountCalls = 64
	CountSubs  = 40
)

// Counts counts hypercalls by number and sub-operation. The owner adds, others may read.
type Counts [CountCalls][CountSubs]atomic.Uint64

// Add counts one call. Calls without sub-operations count as 0; numbers out of range as the last.
func (c *Counts) Add(nr, sub uint64) {
	c[min(nr, CountCalls-1)][min(sub, CountSubs-1)].Add(1)
}

// Hypercalls adds up the counters of all vCPUs. Any goroutine.
func (d *Domain) Hypercalls() (sum [CountCalls][CountSubs]uint64) {
	for _, v := range d.VCPUs {
		for i := range sum {
			for j := range sum[i] {
				sum[i][j] += v.Counts[i][j].Load()
			}
		}
	}
	return sum
}
