package abi

import (
	"testing"

	"gozen/benches/guest/abi"
	"gozen/hypervisor/hypercall"
	"gozen/hypervisor/xen"
)

// A row is the test of rows of the hypercall table: a guest, and what is to be seen in its memory after its end.
type row struct {
	name string
	// covers are the calls as counters name them: hypercall/operation.
	covers []string
	opts   []option
	// guest emits the guest and gives the check of what it left.
	guest func(p *abi.Prog) (check func(g *guest))
	// end, unless nil, replaces the wish that the guest powers off.
	end func(g *guest)
}

// rows lists all tests of rows.
func rows() []row {
	var all []row
	for _, r := range [][]row{memoryRows(), versionRows(), eventRows(), grantRows(), hvmRows(), schedRows(), vcpuRows(), otherRows()} {
		all = append(all, r...)
	}
	return all
}

// TestRows_cover fails when a call that the table says works has no guest.
func TestRows_cover(t *testing.T) {
	covered := map[string]bool{}
	for _, r := range rows() {
		for _, c := range r.covers {
			covered[c] = true
		}
	}
	works := func(s hypercall.Support) bool { return s == hypercall.Supported || s == hypercall.Partial }
	n := 0
	for _, r := range hypercall.Rows() {
		if len(r.Subs) == 0 && works(r.Support) {
			if n++; !covered[r.Name] {
				t.Errorf("no guest calls %s", r.Name)
			}
		}
		for _, s := range r.Subs {
			if works(s.Support) {
				if n++; !covered[r.Name+"/"+s.Name] {
					t.Errorf("no guest calls %s/%s", r.Name, s.Name)
				}
			}
		}
	}
	if n < 60 {
		t.Errorf("the table has only %d supported calls", n)
	}
}

// TestRows runs each guest with the instruction in virtual time, and through the hypercall page in the host's time.
func TestRows(t *testing.T) {
	for _, r := range rows() {
		for _, via := range []struct {
			name  string
			entry abi.Entry
			det   bool
		}{{"vmcall", abi.VMCALL, true}, {"page", abi.Page, false}} {
			t.Run(r.name+"/"+via.name, func(t *testing.T) {
				t.Parallel()
				var check func(*guest)
				image, err := abi.Build(via.entry, func(p *abi.Prog) { check = r.guest(p) })
				if err != nil {
					t.Fatal(err)
				}
				g := start(t, image, append([]option{deterministic(via.det)}, r.opts...)...)
				if r.end != nil {
					r.end(g)
				} else {
					g.powersOff()
				}
				if check != nil {
					check(g)
				}
				for _, c := range r.covers {
					if g.called(c) == 0 {
						t.Errorf("the guest did not call %s", c)
					}
				}
			})
		}
	}
}

// TestRows_refused: every call that is not implemented answers what the table says.
func TestRows_refused(t *testing.T) {
	type answer struct {
		row hypercall.Row
		at  abi.Addr
	}
	var answers []answer
	var unknown, far, compat abi.Addr
	image, err := abi.Build(abi.VMMCALL, func(p *abi.Prog) {
		for _, r := range hypercall.Rows() {
			if r.Support == hypercall.None || r.Support == hypercall.Refused {
				answers = append(answers, answer{r, p.Call(r.Nr, 0, 0, 0, 0, 0)})
			}
		}
		unknown, far = p.Call(63, 0), p.Call(1<<40, 0)
		compat = p.Call(xen.HYPERVISOR_sched_op, 99, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, image)
	g.powersOff()
	for _, a := range answers {
		g.fails(a.row.Name, a.at, a.row.Answer)
	}
	g.fails("number 63", unknown, xen.ENOSYS)
	g.fails("number 1<<40", far, xen.ENOSYS)
	g.fails("sched_op 99", compat, xen.ENOSYS)
	if len(answers) < 20 {
		t.Errorf("only %d rows are refused", len(answers))
	}
}
