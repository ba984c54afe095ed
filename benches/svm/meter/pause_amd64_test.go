package main

import (
	"math"
	"runtime/metrics"
	"testing"
)

func TestWorst(t *testing.T) {
	edges := []float64{math.Inf(-1), 0, 0.001, 0.002, math.Inf(1)}
	h := func(n ...uint64) metrics.Float64Histogram { return metrics.Float64Histogram{Counts: n, Buckets: edges} }
	before := h(1, 5, 5, 0)
	for _, tt := range []struct {
		after metrics.Float64Histogram
		want  float64
		hits  uint64
	}{
		{before, 0, 0},
		{h(1, 9, 5, 0), 0.001, 4},
		{h(1, 9, 6, 0), 0.002, 5},
		{h(1, 9, 6, 1), 0.002, 6}, // no upper edge
	} {
		if got, n := worst(before, tt.after), hits(before, tt.after); got != tt.want || n != tt.hits {
			t.Errorf("%v: %v %d, not %v %d", tt.after.Counts, got, n, tt.want, tt.hits)
		}
	}
}
