package block

import (
	"testing"

	"gozen/hypervisor/xen"
)

// BenchmarkRequest_pages takes and gives back the 32 pages of a request.
func BenchmarkRequest_pages(b *testing.B) {
	d := newBench(b, Config{Image: newMedium(1024)}, 1, nil)
	q := d.disk.queues[0]
	segs := make([]byte, 32*xen.BlkifSegmentSize)
	for i := range 32 {
		putSeg(segs[i*xen.BlkifSegmentSize:], seg{uint32(dataFrame + i), 0, 7})
	}
	r := &request{do: xen.BLKIF_OP_READ}
	b.ReportAllocs()
	for b.Loop() {
		r.reset()
		if err := q.attach(r, 0, segs); err != nil {
			b.Fatal(err)
		}
		r.release(q)
	}
}
