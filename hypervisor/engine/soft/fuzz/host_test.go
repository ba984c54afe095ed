//go:build linux && amd64

package fuzz

import (
	"testing"
)

func TestHost_same(t *testing.T) {
	if v := vendor(); v != "AuthenticAMD" {
		t.Skipf("what is undefined has been worked out for AMD, not for %s: see make fuzz-cpu", v)
	}
	r, err := NewRunner(1)
	if err != nil {
		t.Skip(err)
	}
	cases := uint64(20000)
	if testing.Short() {
		cases = 1000
	}
	var o Outcome
	steps, skipped, bad := uint64(0), 0, 0
	for n := uint64(0); n < cases && bad < 10; n++ {
		c := r.Gen.Case(n)
		r.Place(c)
		for i := range c.States {
			if err := r.Run(c, &c.States[i], &o); err != nil {
				t.Fatal(err)
			}
			steps += o.Steps
			if o.Skipped != "" {
				skipped++
			}
			if o.Differences != nil {
				bad++
				d := r.Minimise(c, &c.States[i], &o)
				t.Errorf("case %d state %d\n%s", n, i, Describe(d, &c.States[i], &o))
				break
			}
		}
	}
	t.Logf("%d instructions, %d states skipped", steps, skipped)
}
