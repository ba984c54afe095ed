package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"

	"gozen/perfctl/result"
)

// plot is the latency of one workload: a curve for each mode over the share of samples that lie below, the high ones drawn apart (from 90 to
// 99 % is as wide as from 0 to 90 %), and the rounds' medians as dots on the left.
type plot struct {
	unit   string
	curves []curve
}

type curve struct {
	label  string
	colour int // class mN of the page
	at     []float64
	values []float64
	rounds []float64 // medians
	reach  float64   // log10 of one over the rest of the highest share
}

// Size of a plot, and of the space around the curves.
const (
	plotWidth, plotHeight           = 420, 230
	marginLeft, marginRight         = 62, 10
	marginTop, marginBottom         = 10, 26
	stripWidth                      = 46 // of the dots
	innerLeft                       = marginLeft + stripWidth
	innerWidth                      = plotWidth - innerLeft - marginRight
	innerHeight                     = plotHeight - marginTop - marginBottom
	deepest                         = 3.0 // log10 of one over the highest share's rest: 99.9 %
	dotRadius                       = 2.2
	shares                          = 120
	minSpan                 float64 = 1.25 // of the values: less would make noise look large
)

func curveOf(s *result.Series, colour int) curve {
	c := curve{label: s.Mode, colour: colour}
	n := 0
	for _, r := range s.Rounds {
		n += len(r)
		if len(r) > 0 {
			one := result.Series{Rounds: [][]float64{r}}
			sum, _ := one.Summary()
			c.rounds = append(c.rounds, sum.Median)
		}
	}
	c.reach = min(deepest, math.Log10(float64(max(n, 2)))) // no more than there are samples for
	for i := range shares + 1 {
		c.at = append(c.at, 1-math.Pow(10, -c.reach*float64(i)/shares))
	}
	c.values = s.Quantiles(c.at...)
	return c
}

// reach is that of the curve that goes furthest.
func (p *plot) reach() (r float64) {
	for _, c := range p.curves {
		r = max(r, c.reach)
	}
	return r
}

// depth is where a share stands: 0, 1 for 90 %, 2 for 99 %.
func depth(share float64) float64 { return -math.Log10(max(1-share, 1e-9)) }

// x places a share of the samples.
func (p *plot) x(share float64) float64 { return innerLeft + innerWidth*min(depth(share)/p.reach(), 1) }

// marked are the shares with a line of their own.
func (p *plot) marked() []float64 {
	return slices.DeleteFunc([]float64{0, 0.5, 0.9, 0.99, 0.999}, func(s float64) bool { return depth(s) > p.reach()+0.001 })
}

// scale gives the range of the values and how one is placed: on a logarithmic scale.
func (p *plot) scale() (lo, hi float64, y func(float64) float64) {
	lo, hi = math.Inf(1), 0
	for _, c := range p.curves {
		for _, v := range slices.Concat(c.values, c.rounds) {
			if v > 0 {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	if hi == 0 {
		lo, hi = 1, 10
	}
	if hi/lo < minSpan {
		m := math.Sqrt(hi * lo)
		lo, hi = m/minSpan, m*minSpan
	}
	lo, hi = lo/1.05, hi*1.05
	return lo, hi, func(v float64) float64 {
		f := math.Log(max(v, lo)/lo) / math.Log(hi/lo)
		return marginTop + innerHeight*(1-f)
	}
}

// ticks are round values between two.
func ticks(lo, hi float64) (out []float64) {
	for steps := []float64{1, 2, 5}; ; steps = []float64{1} {
		out = nil
		for e := math.Floor(math.Log10(lo)); e <= math.Ceil(math.Log10(hi)); e++ {
			for _, s := range steps {
				if v := s * math.Pow(10, e); v >= lo && v <= hi {
					out = append(out, v)
				}
			}
		}
		if len(out) <= 8 || len(steps) == 1 {
			break
		}
	}
	if len(out) < 2 {
		return []float64{lo * math.Pow(hi/lo, 0.1), math.Sqrt(lo * hi), lo * math.Pow(hi/lo, 0.9)}
	}
	return out
}

// svg draws the plot. Colours are the page's classes.
func (p *plot) svg() string {
	var b strings.Builder
	lo, hi, y := p.scale()
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="latency by share of samples">`, plotWidth, plotHeight)
	for _, v := range ticks(lo, hi) {
		fmt.Fprintf(&b, `<line class="g" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, marginLeft, plotWidth-marginRight, y(v), y(v))
		fmt.Fprintf(&b, `<text class="y" x="%d" y="%.1f">%s</text>`, marginLeft-5, y(v)+4, template.HTMLEscapeString(amount(v, p.unit)))
	}
	for _, s := range p.marked() {
		label, class := strconv.FormatFloat(100*s, 'g', 4, 64)+"%", "x"
		if s == 0 {
			label = "min"
		}
		if p.x(s) > plotWidth-marginRight-16 {
			class = "x end"
		}
		fmt.Fprintf(&b, `<line class="g" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, p.x(s), p.x(s), marginTop, marginTop+innerHeight)
		fmt.Fprintf(&b, `<text class="%s" x="%.1f" y="%d">%s</text>`, class, p.x(s), plotHeight-8, label)
	}
	fmt.Fprintf(&b, `<text class="x" x="%d" y="%d">rounds</text>`, marginLeft+stripWidth/2-7, plotHeight-8)
	for i, c := range p.curves {
		p.draw(&b, c, i, y)
	}
	b.WriteString(`</svg>`)
	return b.String()
}

func (p *plot) draw(b *strings.Builder, c curve, i int, y func(float64) float64) {
	label := template.HTMLEscapeString(c.label)
	column := marginLeft + float64(stripWidth-14)*(float64(i)+0.5)/float64(len(p.curves))
	for _, v := range c.rounds {
		fmt.Fprintf(b, `<circle class="m%d" cx="%.1f" cy="%.1f" r="%.1f"><title>%s: %s</title></circle>`, c.colour, column, y(v), dotRadius,
			label, template.HTMLEscapeString(amount(v, p.unit)))
	}
	fmt.Fprintf(b, `<path class="m%d" d="`, c.colour)
	for k, s := range c.at {
		op := 'L'
		if k == 0 {
			op = 'M'
		}
		fmt.Fprintf(b, "%c%.1f %.1f", op, p.x(s), y(c.values[k]))
	}
	fmt.Fprintf(b, `"><title>%s</title></path>`, label)
}
