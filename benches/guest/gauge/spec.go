package gauge

import (
	"fmt"
	"slices"
	"strings"
)

// Spec says what a guest does.
type Spec struct {
	Mode      string   // one of Modes
	Workloads []string // names, in the order in which they run; nil: all that the mode has
	Batches   int      // of each workload, at most MaxBatches; 0: 20
	// Repeat multiplies the operations of a batch; 0: 1.
	Repeat int
}

// MaxBatches bounds Spec.Batches, MaxOps the operations of a batch.
const (
	MaxBatches = 512
	MaxOps     = 1 << 24
)

// Modes names the modes in the order in which they are shown.
func Modes() []string {
	var names []string
	for _, m := range modes() {
		names = append(names, m.name)
	}
	return names
}

// Image makes the guest, a kernel in an ELF file. Disk makes a disk of one of mode hvm.
func Image(s Spec) ([]byte, error) {
	m := findMode(s.Mode)
	if m == nil {
		return nil, fmt.Errorf("no mode %q: the modes are %s", s.Mode, strings.Join(Modes(), ", "))
	}
	if s.Batches == 0 {
		s.Batches = 20
	}
	s.Repeat = max(s.Repeat, 1)
	if s.Batches < 1 || s.Batches > MaxBatches {
		return nil, fmt.Errorf("%d batches: give 1 to %d", s.Batches, MaxBatches)
	}
	chosen, err := choose(s.Workloads)
	if err != nil {
		return nil, err
	}
	for _, w := range chosen {
		if w.Ops > MaxOps/s.Repeat {
			return nil, fmt.Errorf("%s: %d times %d operations in a batch are more than %d", w.Name, s.Repeat, w.Ops, MaxOps)
		}
	}
	return m.image(func(p *prog) { p.run(s, chosen) })
}

func choose(names []string) ([]Workload, error) {
	all := List()
	if names == nil {
		return all, nil
	}
	var out []Workload
	for _, n := range names {
		i := slices.IndexFunc(all, func(w Workload) bool { return w.Name == n })
		if i < 0 {
			return nil, fmt.Errorf("no workload %q", n)
		}
		out = append(out, all[i])
	}
	return out, nil
}

func findMode(name string) *mode {
	for _, m := range modes() {
		if m.name == name {
			return m
		}
	}
	return nil
}
