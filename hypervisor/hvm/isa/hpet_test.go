package isa

import "testing"

// hpetBench is an HPET with its lines.
type hpetBench struct {
	*HPET
	clock
	legacy [2]counts
	pins   [32]counts
}

func newHPET() *hpetBench {
	b := &hpetBench{clock: clock{ns: 1000}}
	b.HPET = NewHPET(b.clock.now, [2]Line{b.legacy[0].set, b.legacy[1].set}, func(n int, high bool) { b.pins[n].set(high) })
	return b
}

// run goes from deadline to deadline, n times.
func (b *hpetBench) run(n int) {
	for range n {
		b.ns = b.Deadline()
		b.Expire(b.ns)
	}
}

func TestHPET_counts(t *testing.T) {
	b := newHPET()
	if caps := b.Read(0, 8); caps>>32 != 10e6 || uint32(b.Read(0, 4)) != HPETID || b.Read(4, 4) != 10e6 {
		t.Errorf("capabilities %#x", caps)
	}
	if b.ns += 1e6; b.Read(hpetCounter, 8) != 0 {
		t.Error("it counts before it is enabled")
	}
	b.Write(hpetCounter, 8, 0xfffffff0)
	b.Write(hpetConfig, 4, hpetEnable)
	b.ns += 1e6
	if got := b.Read(hpetCounter, 8); got != 0xfffffff0+1e5 {
		t.Errorf("counter %#x", got)
	}
	if got := b.Read(hpetCounter+4, 4); got != 1 {
		t.Errorf("high half %#x", got)
	}
	b.Write(hpetConfig, 4, 0)
	b.ns += 1e6
	if got := b.Read(hpetCounter, 8); got != 0xfffffff0+1e5 {
		t.Errorf("stopped counter %#x", got)
	}
}

func TestHPET_interrupts(t *testing.T) {
	for _, c := range []struct {
		name   string
		timer  int
		global uint64
		config uint64
		first  uint64
		runs   int
		edges  func(*hpetBench) int
		want   int
		ns     uint64
	}{
		{"single, legacy", 0, 3, tmrEnable | tmr32, 1000, 1, func(b *hpetBench) int { return b.legacy[0].edges }, 1, 10000},
		{"periodic, legacy", 1, 3, tmrEnable | tmrPeriodic | tmrSet, 100, 50, func(b *hpetBench) int { return b.legacy[1].edges }, 50, 50000},
		{"periodic, pin 20", 2, 1, tmrEnable | tmrPeriodic | tmrSet | tmr32 | 20<<9, 100, 50, func(b *hpetBench) int { return b.pins[20].edges }, 50, 50000},
		{"level, pin 21", 2, 1, tmrEnable | tmrLevel | tmrPeriodic | tmrSet | 21<<9, 100, 5, func(b *hpetBench) int { return b.pins[21].edges }, 1, 5000},
		{"no such route", 2, 1, tmrEnable | 9<<9, 100, 1, func(b *hpetBench) int { return b.pins[9].edges }, 0, 1000},
	} {
		b := newHPET()
		at := uint64(hpetFirst + hpetStep*c.timer)
		b.Write(hpetConfig, 8, c.global)
		b.Write(at, 8, c.config)
		b.Write(at+8, 8, c.first)
		b.run(c.runs)
		if got := c.edges(b); got != c.want || b.ns != 1000+c.ns {
			t.Errorf("%s: %d interrupts, time %d", c.name, got, b.ns)
		}
		if c.config&tmrPeriodic == 0 && c.config&tmr32 == 0 && b.Deadline() != Never {
			t.Errorf("%s: again at %d", c.name, b.Deadline())
		}
	}
}

func TestHPET_levelEnds(t *testing.T) {
	b := newHPET()
	const at = hpetFirst
	b.Write(hpetConfig, 8, hpetEnable)
	b.Write(at, 8, tmrEnable|tmrLevel|22<<9)
	b.Write(at+8, 8, 10)
	b.run(1)
	if !b.pins[22].high || b.Read(hpetStatus, 4) != 1 {
		t.Fatal("no level-triggered interrupt")
	}
	b.Write(hpetStatus, 4, 6)
	if !b.pins[22].high {
		t.Error("ended by another timer's bit")
	}
	b.Write(hpetStatus, 4, 1)
	if b.pins[22].high || b.Read(hpetStatus, 4) != 0 {
		t.Error("not ended")
	}
	b.Write(at+8, 8, 1e6)
	b.run(1)
	if b.Write(at, 8, 0); b.pins[22].high {
		t.Error("switched off, it still drives its pin")
	}
}
