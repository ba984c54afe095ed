package domain

import (
	"testing"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// bootSecond is the wall clock's second at system time 0: newDomain has a second to go at 10 ns.
const bootSecond = 999_999_999

// widths counts what a host is told.
type widths struct {
	noHost
	told []bool
}

func (w *widths) Width(long bool) { w.told = append(w.told, long) }

func TestLatch_movesTheSharedAreas(t *testing.T) {
	host := &widths{}
	d, _ := newDomain(t, 1, func(c *Config) { c.Host = host; c.FIFO = false })
	p, err := d.Events.BindIPI(0)
	if err != 0 {
		t.Fatal(err)
	}
	l32, l64 := xen.Shared(xen.ABI32), xen.Shared(xen.ABI64)
	for _, long := range []bool{true, false, false, true} {
		d.Latch(long)
		now, other := l64, l32
		if !long {
			now, other = l32, l64
		}
		for off := uint32(0); off < guestmem.PageSize; off += 4 {
			if off < 32 || off >= 64 { // not the vCPU's time
				d.shared.Store32(off, 0)
			}
		}
		d.UpdateTime()
		d.Events.Send(p)
		bit := uint32(1) << p
		if d.shared.Load32(now.EvtchnPending)&bit == 0 || d.shared.Load32(now.PendingSel) != 1 || d.shared.Load32(other.PendingSel) != 0 {
			t.Errorf("long %v: pending %#x, selector %#x and %#x", long, d.shared.Load32(now.EvtchnPending), d.shared.Load32(now.PendingSel),
				d.shared.Load32(other.PendingSel))
		}
		if sec := d.shared.Load32(now.WCSec); sec != bootSecond || d.shared.Load32(other.WCSec) != 0 {
			t.Errorf("long %v: wall clock %d and %d", long, sec, d.shared.Load32(other.WCSec))
		}
	}
	if len(host.told) != 2 || host.told[0] || !host.told[1] {
		t.Errorf("the host was told %v", host.told)
	}
}

// TestLatch_writesTheWallClock: at once, not with the next tick.
func TestLatch_writesTheWallClock(t *testing.T) {
	d, _ := newDomain(t, 1, nil)
	d.Latch(false)
	if l := xen.Shared(xen.ABI32); d.shared.Load32(l.WCSec) != bootSecond || d.shared.Load32(l.WCVersion)&1 != 0 {
		t.Errorf("%d, version %d", d.shared.Load32(l.WCSec), d.shared.Load32(l.WCVersion))
	}
}

// TestLatch_alignment: vcpu_info needs the alignment of a long.
func TestLatch_alignment(t *testing.T) {
	d, _ := newDomain(t, 1, nil)
	v := d.VCPUs[0]
	if err := v.RegisterInfo(v, 4, 0x104); err != xen.ENXIO {
		t.Errorf("64-bit: %v", err)
	}
	d.Latch(false)
	if err := v.RegisterInfo(v, 4, 0x104); err != 0 {
		t.Errorf("32-bit: %v", err)
	}
	if sel := v.Info().Page.Load32(0x108); sel != ^uint32(0) {
		t.Errorf("selector %#x", sel)
	}
}

// area is guest memory at address 0.
type area struct{ b [256]byte }

func (a *area) ReadVirt(va uint64, p []byte) error  { copy(p, a.b[va:]); return nil }
func (a *area) WriteVirt(va uint64, p []byte) error { copy(a.b[va:], p); return nil }
func (a *area) Translate(va uint64) (guestmem.GPA, error) {
	return guestmem.GPA(va), nil
}

// TestLatch_runstate: the account is 44 bytes long on the 32-bit ABI, and 48 on the other.
func TestLatch_runstate(t *testing.T) {
	for _, c := range []struct {
		long bool
		last int
	}{{true, 16 + 64 + 48 - 1}, {false, 16 + 64 + 44 - 1}} {
		d, src := newDomain(t, 1, nil)
		v, mem := d.VCPUs[0], &area{}
		for i := range mem.b {
			mem.b[i] = 0xee
		}
		v.Virt = mem
		src.ns.Store(1 << 62) // so that the last account has a high byte: not 0xee in any case
		d.Latch(c.long)
		v.RegisterRunstate(v, 80)
		if mem.b[c.last] == 0xee || mem.b[c.last+1] != 0xee {
			t.Errorf("long %v: bytes at the end: % x", c.long, mem.b[c.last-4:c.last+5])
		}
	}
}

func TestLatch_leavesArmAlone(t *testing.T) {
	d, _ := newDomain(t, 1, func(c *Config) { c.ABI = xen.ABIA64 })
	if d.Latch(false); d.ABI() != xen.ABIA64 {
		t.Errorf("abi %d", d.ABI())
	}
}
