package host

import (
	"fmt"

	"gozen/trace/bpf"
)

// Result is what was seen.
type Result struct {
	Seconds float64 `json:"seconds"`
	// Interrupted: it was to take longer.
	Interrupted bool        `json:"interrupted,omitempty"`
	Kernel      string      `json:"kernel"`
	Backend     bpf.Backend `json:"backend"`
	Domains     []Domain    `json:"domains"`
	Counts      []Count     `json:"counts"`
	Times       []Time      `json:"times"`
	// Silent are the probes that gave nothing.
	Silent []Silence           `json:"silent"`
	Lost   map[string]bpf.Lost `json:"lost,omitempty"`
}

// Domain is one that was watched.
type Domain struct {
	Domid  int    `json:"domid"`
	Name   string `json:"name"`
	PID    int    `json:"pid"`
	Engine string `json:"engine"`
	// Threads are those of its vCPUs, by the vCPU's number; 0 where it has none of its own.
	Threads []int `json:"threads"`
	// Since and Until say in seconds when it was watched, where that is not all the time.
	Since float64 `json:"since,omitempty"`
	Until float64 `json:"until,omitempty"`
}

// Watched gives the seconds for which a domain was watched.
func (r *Result) Watched(domid int) float64 {
	for _, d := range r.Domains {
		if d.Domid != domid {
			continue
		}
		if d.Until > 0 {
			return d.Until - d.Since
		}
		return r.Seconds - d.Since
	}
	return r.Seconds
}

// Where says whose a figure is.
type Where struct {
	Domid  int `json:"domid"`
	VCPU   int `json:"vcpu"` // -1: a thread of the domain's process that is no vCPU's
	Thread int `json:"thread"`
}

// String is Xen's notation, d1v0.
func (w Where) String() string {
	if w.VCPU < 0 {
		return fmt.Sprintf("d%d thread %d", w.Domid, w.Thread)
	}
	return fmt.Sprintf("d%dv%d", w.Domid, w.VCPU)
}

// Count is how often something happened.
type Count struct {
	Probe string `json:"probe"`
	Where
	What  string `json:"what"` // in words, with numbers of ports, addresses and registers
	Count uint64 `json:"count"`
}

// All is the Time.What of all causes together.
const All = "all"

// Time is the distribution of how long something took, in nanoseconds. Quantiles are at most an eighth too high; Max is exact.
type Time struct {
	Probe string `json:"probe"`
	Where
	What  string  `json:"what,omitempty"`
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean_ns"`
	P50   uint64  `json:"p50_ns"`
	P90   uint64  `json:"p90_ns"`
	P99   uint64  `json:"p99_ns"`
	P999  uint64  `json:"p99.9_ns"`
	Max   uint64  `json:"max_ns"`
}

func (t *Time) fill(h *bpf.Hist) {
	t.Count, t.Mean, t.Max = h.Count, h.Mean(), h.Max
	t.P50, t.P90, t.P99, t.P999 = h.Quantile(.5), h.Quantile(.9), h.Quantile(.99), h.Quantile(.999)
}

// Silence is a probe without figures.
type Silence struct {
	Probe string `json:"probe"`
	Why   string `json:"why"`
	// Never: this host does not tell it at all. Otherwise it did not happen while it was watched.
	Never bool `json:"never"`
}
