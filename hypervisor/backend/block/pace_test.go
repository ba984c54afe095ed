package block

import "testing"

func TestPace(t *testing.T) {
	var p pace
	count := func(found int) (prompt int) {
		for range 10000 {
			if p.prompt() {
				prompt++
			} else {
				p.looked(found)
			}
		}
		return prompt
	}
	if n := count(1); n < 9900 {
		t.Errorf("one at a time: %d of 10,000 by the vCPU", n)
	}
	if n := count(32); n > lastTrial {
		t.Errorf("many at a time: %d of 10,000 by the vCPU", n)
	}
	if n := count(1); n < 9900 {
		t.Errorf("one at a time, after many: %d of 10,000 by the vCPU", n)
	}
	p.looked(0) // a look for nothing changes nothing
	if n := count(1); n < 9900 {
		t.Errorf("%d", n)
	}
}
