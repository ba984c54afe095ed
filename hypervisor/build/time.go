package build

import (
	"runtime"
	"time"

	"gozen/hypervisor/engine/soft"
	"gozen/hypervisor/vcpu"
)

// tscHz is the frequency of the software CPU's time-stamp counter: one tick per nanosecond.
const tscHz = 1e9

// threadsKeepOrder tells that the host orders loads and stores as x86 does, so that vCPUs may run on threads of their own.
const threadsKeepOrder = runtime.GOARCH == "amd64"

// hostTime is the host's monotonic time since the domain was built.
type hostTime struct{ start time.Time }

func (h hostTime) Now() uint64   { return uint64(time.Since(h.start)) }
func (h hostTime) TSC() uint64   { return uint64(time.Since(h.start)) }
func (h hostTime) TSCHz() uint64 { return tscHz }

// source makes the time of a domain on the software CPU: the host's, or virtual time counted in instructions.
func (m *Machine) source() {
	m.src = hostTime{time.Now()}
	if m.cfg.Deterministic || m.cfg.Interleaved || !threadsKeepOrder {
		m.sched = vcpu.NewScheduler()
		if !m.cfg.Deterministic {
			m.sched.Host = m.src
		}
		m.src = m.sched
	}
}

// tsc gives the guest's time-stamp counter without a vCPU's own offset.
func (m *Machine) tsc() uint64 {
	return m.src.TSC()
}

// wall is the time of day that the guest starts with, as localtime and rtc_timeoffset shift it; a deterministic run always starts at
// the same.
func (m *Machine) wall() time.Time {
	t := time.Now()
	if m.cfg.Deterministic {
		t = time.Unix(1<<30, 0)
	}
	if m.cfg.LocalTime {
		_, east := t.Zone()
		t = t.Add(time.Duration(east) * time.Second)
	}
	return t.Add(time.Duration(m.cfg.RTCOffset) * time.Second)
}

func (m *Machine) softConfig() soft.Config {
	c := soft.Config{Memory: m.mem, TSC: func(uint64) uint64 { return m.src.TSC() }}
	if m.sched != nil {
		c.TSC = m.sched.TSCAt
	}
	if m.cfg.Deterministic {
		c.Seed = max(m.cfg.Seed, 1)
	}
	return c
}
