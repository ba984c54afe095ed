package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"golang.org/x/perf/benchfmt"

	"gozen/perfctl/measure"
)

// JSON writes the set with all its runs; times are nanoseconds.
func (s *Set) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		*Set
		Note string `json:"note,omitempty"`
	}{s, s.caution()})
}

// Bench writes the set in the Go benchmark format: one benchmark a milestone, and the counters as units of BenchmarkBoot.
func (s *Set) Bench(w io.Writer) error {
	bw := benchfmt.NewWriter(w)
	for _, r := range s.Runs {
		for _, res := range s.results(r) {
			if err := bw.Write(res); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Set) results(r *measure.Run) (out []*benchfmt.Result) {
	config := []benchfmt.Config{}
	add := func(key, value string) {
		if value != "" {
			config = append(config, benchfmt.Config{Key: key, Value: []byte(oneLine(value)), File: true})
		}
	}
	add("goarch", s.Host.Arch)
	add("cpu", s.Host.CPU)
	add("host-kernel", s.Host.Kernel)
	add("host-virtual", fmt.Sprint(s.Host.Guest))
	add("engine", r.Engine)
	add("event-abi", r.EventABI)
	add("note", s.caution())
	name := "Boot/vcpus=" + fmt.Sprint(r.VCPUs)
	for _, t := range r.Milestones {
		values := []benchfmt.Value{{Value: t.Wall.Seconds(), Unit: "sec"}, {Value: t.CPU.Seconds(), Unit: "cpu-sec"}}
		if t.Instructions > 0 {
			values = append(values, benchfmt.Value{Value: float64(t.Instructions), Unit: "guest-insns"})
		}
		out = append(out, &benchfmt.Result{Config: config, Name: benchfmt.Name(name + "/to=" + t.Name), Iters: 1, Values: values})
	}
	counters := &benchfmt.Result{Config: config, Name: benchfmt.Name(name), Iters: 1}
	counters.Values = append(counters.Values, benchfmt.Value{Value: float64(r.OverheadKiB) * 1024, Unit: "overhead-B"})
	for _, g := range groups() {
		for _, c := range g.of(r) {
			counters.Values = append(counters.Values, benchfmt.Value{Value: float64(c.Count), Unit: g.title + ":" + unitName(c.Name)})
		}
	}
	return append(out, counters)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// unitName makes one word of a counter's name.
func unitName(s string) string { return strings.Join(strings.Fields(s), "-") }
