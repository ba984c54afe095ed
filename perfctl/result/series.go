package result

import "slices"

// Result is one measurement: what a person asked for, in rounds over all modes.
type Result struct {
	Format  int       `json:"format"` // FormatVersion
	Title   string    `json:"title"`
	Env     Env       `json:"env"`
	Rounds  int       `json:"rounds"`
	Batches int       `json:"batches"` // of each workload in a round
	Series  []*Series `json:"series"`
}

// FormatVersion is the version of result files.
const FormatVersion = 1

// Series is one workload in one mode.
type Series struct {
	Mode     string `json:"mode"`
	Engine   string `json:"engine"`
	Workload string `json:"workload"`
	Area     string `json:"area"`
	Unit     string `json:"unit"`          // of a sample: ns an operation, or ticks where the counter's frequency is not known
	Ops      uint64 `json:"ops,omitempty"` // in a batch
	// Rounds holds one sample for each batch, round by round.
	Rounds [][]float64 `json:"rounds,omitempty"`
	// Counts are exact, for one operation. What is not in the list did not happen, if Counted says that it was counted.
	Counts  []Count `json:"counts,omitempty"`
	Counted bool    `json:"counted,omitempty"`
	// Missing says why there is nothing.
	Missing string `json:"missing,omitempty"`
}

// Count is how often something happened for one operation.
type Count struct {
	Name  string  `json:"name"` // "instructions", "exit hypercall", "hypercall xen_version/version", "event upcall"
	PerOp float64 `json:"per_op"`
}

// Find gives the series of a mode and a workload, nil if there is none.
func (r *Result) Find(mode, workload string) *Series {
	for _, s := range r.Series {
		if s.Mode == mode && s.Workload == workload {
			return s
		}
	}
	return nil
}

// Modes lists the modes, in the order in which they were measured.
func (r *Result) Modes() []string { return r.distinct(func(s *Series) string { return s.Mode }) }

// Workloads lists the workloads, in their order.
func (r *Result) Workloads() []string {
	return r.distinct(func(s *Series) string { return s.Workload })
}

func (r *Result) distinct(of func(*Series) string) (out []string) {
	for _, s := range r.Series {
		if v := of(s); !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// samples gives all of them.
func (s *Series) samples() []float64 { return slices.Concat(s.Rounds...) }

// medians gives the median of every round.
func (s *Series) medians() []float64 {
	var out []float64
	for _, r := range s.Rounds {
		if len(r) > 0 {
			out = append(out, median(slices.Sorted(slices.Values(r))))
		}
	}
	return out
}

// median is that of sorted values.
func median(v []float64) float64 {
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// Count gives a count by its name, 0 if it never happened.
func (s *Series) Count(name string) float64 {
	for _, c := range s.Counts {
		if c.Name == name {
			return c.PerOp
		}
	}
	return 0
}
