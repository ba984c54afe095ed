//go:build linux

package fuzz

import "fmt"

// Record runs state st of a placed case, its FX registers taken from the pool, and gives the record; ok is false where the software CPU differs
// or the result is the processor's own.
func (r *Runner) Record(name, vendor string, c *Case, st *State, o *Outcome) (rec Record, ok bool) {
	rec = Record{Name: name, Vendor: vendor, Start: c.Start, Code: append([]byte(nil), c.Code...), Pool: st.Pool, Patches: st.Patches}
	rec.FXPool = int(st.Context.GPR[0]%(poolSize/16)) * 16
	for i := 0; i < fxEnd-fxRegisters; i++ {
		st.Context.FX[fxRegisters+i] = r.Gen.pool[rec.FXPool+i]
	}
	for i := fxEnd; i < len(st.Context.FX); i++ {
		st.Context.FX[i] = 0
	}
	if err := r.Run(c, st, o); err != nil || o.Skipped != "" || o.Differences != nil {
		return rec, false
	}
	rec.Context = st.Context
	clear(rec.Context.FX[fxRegisters:])
	rec.Mask = c.Mask(st, &o.Host)
	before, after := r.HostMemory()
	rec.set(r.Gen.pool, &o.Host, before, after)
	return rec, true
}

// RecordAll records one case of every form, and n blocks.
func (r *Runner) RecordAll(vendor string, blocks uint64) (rs []Record, err error) {
	var o Outcome
	for f := range r.Gen.forms {
		name := Name(&r.Gen.forms[f].Encoding)
		var best Record
		found := false
		for n := uint64(0); n < 200; n++ {
			c := r.Gen.Single(f, n)
			r.Place(c)
			rec, ok := r.Record(name, vendor, c, &c.States[0], &o)
			if ok && (!found || o.Host.Vector < 0) {
				best, found = rec, true
			}
			if ok && (o.Host.Vector < 0 || n > 30) {
				break
			}
		}
		if !found {
			return nil, fmt.Errorf("form %s cannot be recorded", name)
		}
		rs = append(rs, best)
	}
	for n := uint64(0); n < blocks; n++ {
		c := r.Gen.Case(n)
		r.Place(c)
		if rec, ok := r.Record(fmt.Sprintf("block %d", n), vendor, c, &c.States[0], &o); ok {
			rs = append(rs, rec)
		}
	}
	return rs, nil
}
