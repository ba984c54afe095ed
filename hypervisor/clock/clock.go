package clock

import (
	"errors"
	"math/bits"
	"sync"
	"time"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// Source is what a domain's time is made from. TSC must be the counter as the guest reads it with RDTSC,
// the same on all vCPUs, running at TSCHz. Now is the source's own monotonic time in nanoseconds: system time starts
// there. From then on system time follows the TSC alone.
// All methods may be called from any goroutine.
type Source interface {
	Now() uint64
	TSC() uint64
	TSCHz() uint64
}

// Scale turns TSC ticks into nanoseconds as pvclock does: shift left by Shift (right if negative), multiply by
// Mul, take the product's bits from 32 upwards (Xen public/xen.h, vcpu_time_info).
type Scale struct {
	Mul   uint32
	Shift int8
}

// ErrFrequency is returned for a TSC frequency that a pvclock record cannot express.
var ErrFrequency = errors.New("tsc frequency is not between 1 kHz and 1 THz")

// ScaleOf gives the scale for a TSC of hz ticks per second.
func ScaleOf(hz uint64) (Scale, error) {
	if hz < 1e3 || hz > 1e12 {
		return Scale{}, ErrFrequency
	}
	shift := int8(0)
	for hz > 2e9 {
		hz >>= 1
		shift--
	}
	for hz <= 1e9 {
		hz <<= 1
		shift++
	}
	return Scale{Mul: uint32((uint64(1e9) << 32) / hz), Shift: shift}, nil
}

// Nanoseconds scales ticks, as a guest does.
func (s Scale) Nanoseconds(ticks uint64) uint64 {
	if s.Shift < 0 {
		ticks >>= -s.Shift
	} else {
		ticks <<= s.Shift
	}
	hi, lo := bits.Mul64(ticks, uint64(s.Mul))
	return hi<<32 | lo>>32
}

// Ticks gives the smallest number of ticks that scale to at least ns.
func (s Scale) Ticks(ns uint64) uint64 {
	if s.Mul == 0 {
		return 0
	}
	hi, lo := ns>>32, ns<<32
	if hi >= uint64(s.Mul) {
		return ^uint64(0)
	}
	q, r := bits.Div64(hi, lo, uint64(s.Mul))
	if r != 0 {
		q++
	}
	if s.Shift < 0 {
		return q << -s.Shift
	}
	return (q + 1<<s.Shift - 1) >> s.Shift
}

// Clock is the time of one domain. All methods may be called from any goroutine.
type Clock struct {
	src   Source
	hz    uint64
	scale Scale

	mu   sync.RWMutex
	tsc0 uint64 // the anchor: the TSC had this value...
	ns0  uint64 // ...at this system time
	wall uint64 // ns since 1970 at system time 0
}

// New makes the clock of a domain whose system time is src.Now() now (0 for a source that starts with the domain). wall is the time
// of day now.
func New(src Source, wall time.Time) (*Clock, error) {
	s, err := ScaleOf(src.TSCHz())
	if err != nil {
		return nil, err
	}
	c := &Clock{src: src, hz: src.TSCHz(), scale: s, tsc0: src.TSC(), ns0: src.Now()}
	c.wall = uint64(max(wall.UnixNano(), 0))
	c.wall -= min(c.wall, c.ns0)
	return c, nil
}

// TSCHz gives the guest's TSC frequency, and Scale how its ticks become nanoseconds.
func (c *Clock) TSCHz() uint64 { return c.hz }

// Scale gives the pvclock scale of the guest's TSC.
func (c *Clock) Scale() Scale { return c.scale }

// Now gives the system time in nanoseconds, as the guest computes it.
func (c *Clock) Now() uint64 {
	c.mu.RLock()
	tsc0, ns0 := c.tsc0, c.ns0
	c.mu.RUnlock()
	t := c.src.TSC()
	if int64(t-tsc0) < 0 {
		return ns0
	}
	return ns0 + c.scale.Nanoseconds(t-tsc0)
}

// Anchor makes system time ns hold at the present TSC value: after a restore, when the TSC was stopped. All
// records must be written again.
func (c *Clock) Anchor(ns uint64) {
	c.mu.Lock()
	c.tsc0, c.ns0 = c.src.TSC(), ns
	c.mu.Unlock()
}

// TSCAt gives the TSC value at which system time reaches ns, for a deadline timer that counts ticks.
func (c *Clock) TSCAt(ns uint64) uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if ns <= c.ns0 {
		return c.tsc0
	}
	d := c.scale.Ticks(ns - c.ns0)
	if c.tsc0+d < d {
		return ^uint64(0)
	}
	return c.tsc0 + d
}

// SetWall makes t the time of day at the present system time (xl.cfg rtc_timeoffset, a change of the host's clock).
func (c *Clock) SetWall(t time.Time) {
	now := c.Now()
	c.mu.Lock()
	w := uint64(max(t.UnixNano(), 0))
	c.wall = w - min(w, now)
	c.mu.Unlock()
}

// Wall gives the time of day at system time 0, as shared_info holds it.
func (c *Clock) Wall() (sec uint64, nsec uint32) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.wall / 1e9, uint32(c.wall % 1e9)
}

// Record gives the present pvclock record; version is left 0.
func (c *Clock) Record() xen.VCPUTimeInfo {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return xen.VCPUTimeInfo{TSCTimestamp: c.tsc0, SystemTime: c.ns0, TSCToSystemMul: c.scale.Mul,
		TSCShift: uint8(c.scale.Shift), Flags: xen.XEN_PVCLOCK_TSC_STABLE_BIT}
}

// WriteTime writes the record to a vcpu_time_info at byte offset off of a page shared with the guest: version odd, fields,
// version even. Only one goroutine may write to one place at a time.
func (c *Clock) WriteTime(p *guestmem.Page, off uint32) {
	r := c.Record()
	v := p.Load32(off)&^1 + 1
	p.Store32(off, v)
	p.Store32(off+8, uint32(r.TSCTimestamp))
	p.Store32(off+12, uint32(r.TSCTimestamp>>32))
	p.Store32(off+16, uint32(r.SystemTime))
	p.Store32(off+20, uint32(r.SystemTime>>32))
	p.Store32(off+24, r.TSCToSystemMul)
	p.Store32(off+28, uint32(r.TSCShift)|uint32(r.Flags)<<8)
	p.Store32(off, v+1)
}

// WriteWall writes the wall clock to shared_info, with the same protocol.
func (c *Clock) WriteWall(p *guestmem.Page, l xen.SharedLayout) {
	sec, nsec := c.Wall()
	v := p.Load32(l.WCVersion)&^1 + 1
	p.Store32(l.WCVersion, v)
	p.Store32(l.WCSec, uint32(sec))
	p.Store32(l.WCSecHi, uint32(sec>>32))
	p.Store32(l.WCNsec, nsec)
	p.Store32(l.WCVersion, v+1)
}
