//go:build linux

package fuzz

import "gozen/hypervisor/x86/decode"

// Minimise drops instructions from a case while it still differs from the state, and runs the smallest one into o.
func (r *Runner) Minimise(c *Case, st *State, o *Outcome) *Case {
	best := c
	for changed := true; changed && len(best.Instrs) > 1; {
		changed = false
		for i := len(best.Instrs) - 1; i >= 0 && len(best.Instrs) > 1; i-- {
			d := best.without(i)
			if d == nil {
				continue
			}
			r.Place(d)
			if err := r.Run(d, st, o); err == nil && o.Differences != nil {
				best, changed = d, true
			}
		}
	}
	r.Place(best)
	_ = r.Run(best, st, o)
	return best
}

// without gives the case without instruction i: a NOP as long stands in its place, so that nothing else moves.
func (c *Case) without(i int) *Case {
	in := &c.Instrs[i]
	end := in.Off + len(in.Bytes)
	if in.In.Op == decode.NOP && in.Bytes[len(in.Bytes)-1] == 0x90 || end > len(c.Code) {
		return nil
	}
	d := *c
	d.Code = append([]byte(nil), c.Code...)
	d.Instrs = append([]Instr(nil), c.Instrs...)
	d.Undefined = append([]uint64(nil), c.Undefined...)
	for k := in.Off; k < end; k++ {
		d.Code[k] = 0x66
	}
	d.Code[end-1] = 0x90
	d.Instrs[i].Bytes = d.Code[in.Off:end]
	d.Instrs[i].Target = -1
	if decode.Decode(&d.Instrs[i].In, d.Code[in.Off:], decode.Mode64) != decode.OK {
		return nil
	}
	if !c.Branches {
		d.Undefined = nil
		if !d.undefined(len(d.Instrs)) {
			return nil
		}
	}
	return &d
}
