package result

import (
	"math"
	"slices"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/perf/benchmath"
)

// Confidence is that of all intervals; a difference is significant if its p-value is below 1-Confidence.
const Confidence = 0.95

// Histograms count in thousandths of a sample's unit, from a thousandth of a nanosecond to 1000 seconds, with three digits.
const (
	histScale  = 1000
	histMax    = 1e15
	histDigits = 3
)

// Summary describes the samples of a series. Quantiles are those of all samples; Median, Lo and Hi are the median of the rounds' medians and its
// confidence interval by order statistics, infinite if there are too few rounds for one.
type Summary struct {
	N                             int
	Rounds                        int
	Min, P50, P90, P99, P999, Max float64
	Mean, SD, MAD                 float64
	Median, Lo, Hi                float64
}

// Histogram gives all samples in an HDR histogram, in thousandths of the unit.
func (s *Series) Histogram() *hdr.Histogram {
	h := hdr.New(1, histMax, histDigits)
	for _, v := range s.samples() {
		_ = h.RecordValue(scaled(v))
	}
	return h
}

func scaled(v float64) int64 { return int64(min(max(math.Round(v*histScale), 0), histMax)) }

// Quantiles gives the values below which the shares q (0 to 1) of all samples lie.
func (s *Series) Quantiles(q ...float64) []float64 {
	h := s.Histogram()
	out := make([]float64, len(q))
	for i, v := range q {
		out[i] = float64(h.ValueAtQuantile(100*v)) / histScale
	}
	return out
}

// Summary computes it; ok is false without samples.
func (s *Series) Summary() (sum Summary, ok bool) {
	all, rounds := s.samples(), s.medians()
	if len(all) == 0 {
		return sum, false
	}
	slices.Sort(all)
	q := s.Quantiles(0.9, 0.99, 0.999)
	sum = Summary{N: len(all), Rounds: len(rounds), Min: all[0], P50: median(all), Max: all[len(all)-1]}
	sum.P90, sum.P99, sum.P999 = min(q[0], sum.Max), min(q[1], sum.Max), min(q[2], sum.Max) // a histogram rounds up
	for _, v := range all {
		sum.Mean += v / float64(len(all))
	}
	away := make([]float64, len(all))
	for i, v := range all {
		sum.SD += (v - sum.Mean) * (v - sum.Mean)
		away[i] = math.Abs(v - sum.P50)
	}
	sum.SD = math.Sqrt(sum.SD / float64(max(len(all)-1, 1)))
	slices.Sort(away)
	sum.MAD = median(away)
	m := benchmath.AssumeNothing.Summary(sample(rounds), Confidence)
	sum.Median, sum.Lo, sum.Hi = m.Center, m.Lo, m.Hi
	return sum, true
}

func sample(v []float64) *benchmath.Sample {
	t := benchmath.DefaultThresholds
	return benchmath.NewSample(slices.Clone(v), &t)
}
