package gauge

import "gozen/hypervisor/x86/asm"

// Areas of workloads, in the order in which they are shown.
const (
	AreaBase   = "base"
	AreaTraps  = "syscalls and traps"
	AreaTables = "page tables"
	AreaEvents = "hypercalls and events"
	AreaIO     = "I/O"
)

// Workload is one operation that is measured.
type Workload struct {
	Name, Area string
	Meaning    string // one line
	Ops        int    // in a batch, before Spec.Repeat
	Unit       string // of a batch's result: Ticks or Nanos
	VCPUs      int    // that the domain needs

	xen    bool                       // needs Xen
	lacks  string                     // why it may be left out on this processor
	unless func(p *prog, skip string) // jumps to skip if it is
	setup  func(p *prog)              // nil: none
	op     func(p *prog)              // one operation; or else
	batch  func(p *prog, n int)       // n operations
	end    func(p *prog)              // nil: nothing to take back
}

// Units of a batch's result.
const (
	Ticks = "ticks" // of the time-stamp counter, for the whole batch
	Nanos = "ns"    // added up over the batch
)

// List gives all workloads in the order in which they run and are shown.
func List() []Workload {
	var all []Workload
	for _, l := range [][]Workload{{{Name: "base/loop", Area: AreaBase, Meaning: "an empty loop: what every other figure contains of the loop itself",
		Ops: 1024, op: func(*prog) {}}}, traps(), walks(), events(), peers(), timers(), devices()} {
		all = append(all, l...)
	}
	for i := range all {
		w := &all[i]
		if w.Unit == "" {
			w.Unit = Ticks
		}
		w.VCPUs = max(w.VCPUs, 1)
	}
	return all
}

// rounds emits the loop of a batch around op. r15 counts what is left.
func rounds(p *prog, n int, op func(*prog)) {
	top := p.label()
	p.MovI(asm.R15, uint64(n))
	p.Label(top)
	op(p)
	p.Dec(8, asm.R15)
	p.Jcc(asm.NE, top)
}
