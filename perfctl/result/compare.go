package result

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"golang.org/x/perf/benchmath"
)

// MinRounds is how many rounds of both sides a ratio needs.
const MinRounds = 5

// Ratio is a series beside a baseline: how many times as much it takes.
type Ratio struct {
	Ratio       float64 // of the medians over rounds
	Lo, Hi      float64 // its confidence interval, by bootstrap over rounds
	P           float64 // Mann-Whitney U test of the rounds' medians
	Significant bool    // P is below 1-Confidence, and 1 is outside of the interval
}

// Compare puts a series beside a baseline. It refuses what would be no comparison: too few rounds, or, unless across says that this is meant,
// different engines.
func Compare(base, s *Series, across bool) (Ratio, error) {
	a, b := base.medians(), s.medians()
	if n := min(len(a), len(b)); n < MinRounds {
		return Ratio{}, fmt.Errorf("%s: no ratio from %d rounds: it takes %d (-n)", s.Workload, n, MinRounds)
	}
	if base.Engine != s.Engine && !across {
		return Ratio{}, fmt.Errorf("%s: no ratio of %s to %s: different engines (--across-engines shows it all the same)", s.Workload, s.Engine, base.Engine)
	}
	if base.Unit != s.Unit {
		return Ratio{}, fmt.Errorf("%s: no ratio of %s to %s: different units", s.Workload, s.Unit, base.Unit)
	}
	r := Ratio{}
	ma, mb := median(slices.Sorted(slices.Values(a))), median(slices.Sorted(slices.Values(b)))
	if ma <= 0 {
		return Ratio{}, fmt.Errorf("%s: no ratio to a median of %g", s.Workload, ma)
	}
	r.Ratio = mb / ma
	c := benchmath.AssumeNothing.Compare(sample(a), sample(b))
	r.P = c.P
	if alike(a, b) { // every value the same on both sides: there is nothing to rank
		r.P = 1
	}
	r.Lo, r.Hi = bootstrap(a, b)
	r.Significant = r.P < 1-Confidence && (r.Lo > 1 || r.Hi < 1)
	return r, nil
}

func alike(a, b []float64) bool {
	return slices.Min(a) == slices.Max(a) && slices.Min(b) == slices.Max(b) && a[0] == b[0]
}

// resamples is how often the bootstrap draws.
const resamples = 2000

// bootstrap gives the interval of the ratio of medians: rounds are drawn again, with the same seed every time, so that a report can be
// made twice.
func bootstrap(a, b []float64) (lo, hi float64) {
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(v, into []float64) float64 {
		for i := range into {
			into[i] = v[r.IntN(len(v))]
		}
		slices.Sort(into)
		return median(into)
	}
	ta, tb := make([]float64, len(a)), make([]float64, len(b))
	var ratios []float64
	for range resamples {
		if m := draw(a, ta); m > 0 {
			ratios = append(ratios, draw(b, tb)/m)
		}
	}
	if len(ratios) == 0 {
		return 0, 0
	}
	slices.Sort(ratios)
	const tail = (1 - Confidence) / 2
	return ratios[int(tail*float64(len(ratios)))], ratios[int((1-tail)*float64(len(ratios)-1))]
}
