package report

import (
	"fmt"
	"math"
	"strconv"

	"gozen/perfctl/result"
)

// amount writes a figure with its unit in three digits or more: nanoseconds become µs, ms and s.
func amount(v float64, unit string) string {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return "?"
	}
	if unit != "ns" {
		return three(v) + " " + unit
	}
	for _, u := range []struct {
		size float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}} {
		if v >= u.size {
			return three(v/u.size) + " " + u.name
		}
	}
	return three(v) + " ns"
}

// three writes three digits, or all of a number's whole part.
func three(v float64) string {
	switch {
	case v >= 100 || v == 0:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// either writes the half-width of an interval around a median in per cent.
func either(s result.Summary) string {
	if math.IsInf(s.Lo, 0) || math.IsInf(s.Hi, 0) || s.Median == 0 {
		return "?"
	}
	return fmt.Sprintf("±%.0f%%", math.Ceil(100*max(s.Hi-s.Median, s.Median-s.Lo)/s.Median))
}

// times writes a ratio, or ~ if it may be chance.
func times(r result.Ratio) string {
	if !r.Significant {
		return "~"
	}
	return fmt.Sprintf("%sx [%s, %s]", three(r.Ratio), three(r.Lo), three(r.Hi))
}

func pValue(p float64) string {
	if p < 0.001 {
		return "<0.001"
	}
	return strconv.FormatFloat(p, 'f', 3, 64)
}

// perOp writes a count.
func perOp(v float64) string {
	if v == math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
