package bpf

import (
	"math/bits"
	"slices"
)

// Histograms are log-linear: perOctave buckets for each power of two, so a bucket is at most an eighth wide of what it holds; values below
// perOctave have a bucket each.
const (
	octaveBits = 3
	perOctave  = 1 << octaveBits
	buckets    = (64 - octaveBits + 1) * perOctave
)

// bucketOf gives the bucket of a value. generate.go computes the same in the kernel.
func bucketOf(v uint64) int {
	if v < perOctave {
		return int(v)
	}
	e := bits.Len64(v) - 1
	return (e-octaveBits+1)<<octaveBits | int(v>>(e-octaveBits))&(perOctave-1)
}

// highest gives the highest value of a bucket.
func highest(bucket int) uint64 {
	if bucket < perOctave {
		return uint64(bucket)
	}
	e := bucket>>octaveBits + octaveBits - 1
	low := uint64(perOctave|bucket&(perOctave-1)) << (e - octaveBits)
	return low + (uint64(1)<<(e-octaveBits) - 1)
}

// Bucket is what fell into one.
type Bucket struct{ Count, Sum, Max uint64 }

// Hist is a distribution.
type Hist struct {
	Bucket // of all
	// Buckets holds those that are not empty.
	Buckets map[int]Bucket
}

// add puts a bucket's values in.
func (h *Hist) add(n int, b Bucket) {
	if h.Buckets == nil {
		h.Buckets = map[int]Bucket{}
	}
	h.Buckets[n] = h.Buckets[n].plus(b)
	h.Bucket = h.plus(b)
}

func (b Bucket) plus(o Bucket) Bucket {
	return Bucket{b.Count + o.Count, b.Sum + o.Sum, max(b.Max, o.Max)}
}

// Merge adds another distribution.
func (h *Hist) Merge(o *Hist) {
	for n, b := range o.Buckets {
		h.add(n, b)
	}
}

// Since gives what has come to a distribution since it was o. If the greatest value's bucket had values before, Max may be one of those.
func (h *Hist) Since(o *Hist) *Hist {
	d := &Hist{}
	for n, b := range h.Buckets {
		if was := o.Buckets[n]; b.Count > was.Count {
			d.add(n, Bucket{b.Count - was.Count, b.Sum - was.Sum, b.Max})
		}
	}
	return d
}

// Quantile gives the value that a share q of the values does not exceed, as the upper end of its bucket: at most an eighth too high, never more than
// Max. Of nothing it is 0.
func (h *Hist) Quantile(q float64) uint64 {
	list := make([]int, 0, len(h.Buckets))
	for b := range h.Buckets {
		list = append(list, b)
	}
	slices.Sort(list)
	want, seen := q*float64(h.Count), uint64(0)
	for _, b := range list {
		seen += h.Buckets[b].Count
		if float64(seen) >= want {
			return min(highest(b), h.Max)
		}
	}
	return h.Max
}

// Mean gives the mean, 0 of nothing.
func (h *Hist) Mean() float64 {
	if h.Count == 0 {
		return 0
	}
	return float64(h.Sum) / float64(h.Count)
}
