package build

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/engine"
	"gozen/hypervisor/hypercall"
	"gozen/hypervisor/vcpu"
	"gozen/hypervisor/xenstore"
)

// parseUUID reads the canonical text form; an empty one is all zeros.
func parseUUID(s string) (u [16]byte, err error) {
	if s == "" {
		return u, nil
	}
	hex := strings.ReplaceAll(s, "-", "")
	if len(hex) != 32 {
		return u, fmt.Errorf("uuid %q: want 32 hexadecimal digits", s)
	}
	for i := range u {
		b, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			return u, fmt.Errorf("uuid %q: %w", s, err)
		}
		u[i] = byte(b)
	}
	return u, nil
}

// mark notes a milestone of the boot once.
func (m *Machine) mark(name string) {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts)
	t := control.Timing{Name: name, Wall: time.Since(m.opts.Began), CPU: time.Duration(ts.Nano())}
	for _, l := range m.cpus {
		t.Instructions += l.Instructions()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.timings {
		if o.Name == name {
			return
		}
	}
	m.timings = append(m.timings, t)
}

// Pause implements control.Machine.
func (m *Machine) Pause() error {
	m.mu.Lock()
	m.paused = true
	running := m.started
	m.mu.Unlock()
	for _, l := range m.cpus {
		l.Pause(true)
	}
	for _, l := range m.cpus {
		if running {
			l.AwaitPause()
		}
	}
	return nil
}

// Unpause implements control.Machine; the first one starts vCPU 0.
func (m *Machine) Unpause() error {
	m.mu.Lock()
	first := !m.started && !m.ended
	m.started, m.paused = m.started || first, false // a domain that ended before it began has no loop to wait for
	m.mu.Unlock()
	for _, l := range m.cpus {
		l.Pause(false)
	}
	if !first {
		return nil
	}
	m.dom.VCPUs[0].BringUp()
	m.begin()
	if len(m.disks) > 0 {
		m.watchSizes()
	}
	m.mark("entry")
	if m.sched != nil {
		m.running.Add(1)
		go func() { defer m.running.Done(); m.guard(0, m.sched.Run) }()
		return nil
	}
	for i := range m.cpus {
		m.running.Add(1)
		go func() { defer m.running.Done(); m.guard(i, func() { m.drive(i) }) }()
	}
	return nil
}

// drive runs a vCPU to the domain's end.
func (m *Machine) drive(id int) {
	if err := m.cpus[id].Run(); err != nil {
		m.Crashed(id, err.Error())
	}
}

// guard runs f; a panic is our bug: it crashes this domain and nothing else.
func (m *Machine) guard(id int, f func()) {
	defer func() {
		if p := recover(); p != nil {
			m.opts.Log.Logf("internal error on vcpu %d: %v\n%s", id, p, stack())
			m.Crashed(id, fmt.Sprintf("internal error: %v", p))
		}
	}()
	f()
}

// Shutdown implements control.Machine.
func (m *Machine) Shutdown(word string) error {
	if word == control.PowerButton {
		if m.pc == nil {
			return control.ErrNoParavirt
		}
		m.pc.PressPower()
		return nil
	}
	dir := xenstore.DomainPath(m.dom.ID) + "/control/"
	feature := map[string]string{"poweroff": "feature-poweroff", "halt": "feature-poweroff", "reboot": "feature-reboot", "suspend": "feature-suspend"}[word]
	v, err := m.store.Read(dir + feature)
	if feature == "" || err != nil || string(v) != "1" {
		return control.ErrNoParavirt
	}
	return m.store.Write(dir+"shutdown", []byte(word))
}

// Destroy implements control.Machine.
func (m *Machine) Destroy() { go m.finish(control.Reason{Code: control.ReasonDestroyed}) }

// Done implements control.Machine.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Reason implements control.Machine.
func (m *Machine) Reason() control.Reason {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reason
}

// finish stops all vCPUs and says why; the first reason stays.
func (m *Machine) finish(r control.Reason) {
	m.mu.Lock()
	if m.ended {
		m.mu.Unlock()
		return
	}
	m.ended, m.reason = true, r
	m.mu.Unlock()
	for _, l := range m.cpus {
		l.Stop()
	}
	m.running.Wait()
	m.end()
	m.mark("end")
	m.console.Close()
	if r.Text != "" {
		m.opts.Log.Logf("d%d: %s: %s\n%s", m.dom.ID, r.Code, r.Text, r.Detail)
	}
	close(m.done)
}

// Console implements control.Machine.
func (m *Machine) Console() control.Console {
	return control.NewConsole(m.opts.ConsoleOut, m.input.Write)
}

// Xenstore implements control.Machine.
func (m *Machine) Xenstore() control.Xenstore { return m.store }

// Renamed implements control.Machine.
func (m *Machine) Renamed(name string) {
	_ = m.store.Write(xenstore.DomainPath(m.dom.ID)+"/name", []byte(name))
	_ = m.store.Write("/vm/"+m.cfg.UUID+"/name", []byte(name))
}

// GuestRanges implements control.Machine.
func (m *Machine) GuestRanges() [][2]uintptr { return m.mem.HostRanges() }

// Close implements control.Machine.
func (m *Machine) Close() error {
	m.release()
	return nil
}

func (m *Machine) release() {
	if m.console != nil {
		m.console.Close()
	}
	if m.storeBE != nil {
		m.storeBE.Close()
	}
	m.devices.Lock()
	for _, d := range m.disks {
		d.close()
	}
	for _, n := range m.nics {
		n.close()
	}
	m.disks, m.nics = nil, nil
	m.devices.Unlock()
	if m.pty != nil {
		m.pty.Close()
	}
	if m.a64 != nil {
		m.a64.close()
	}
	if m.vm != nil {
		_ = m.vm.Close()
	}
	if m.sys != nil {
		_ = m.sys.Close()
	}
	if m.mem != nil {
		m.mem.Close()
	}
}

// Info implements control.Machine.
func (m *Machine) Info() control.Info {
	m.mu.Lock()
	i := control.Info{MemoryKiB: m.dom.Pages() << 2, MaxMemKiB: max(m.cfg.MaxMemoryMiB, m.cfg.MemoryMiB) << 10,
		MaxVCPUs: m.vcpus(), Engine: m.name, EngineWhy: m.why, Paths: m.infoPaths(), Boot: m.bootWords()}
	paused, ended, reason := m.paused, m.ended, m.reason
	m.mu.Unlock()
	i.EventABI = "2-level"
	if m.dom.Events.FIFO() {
		i.EventABI = "fifo"
	}
	running := false
	for n, l := range m.cpus {
		v := control.VCPUInfo{ID: n, Online: m.dom.VCPUs[n].IsUp(), CPU: -1, Time: l.CPUTime(), Instructions: l.Instructions(), Thread: l.Thread()}
		switch l.State() {
		case vcpu.StateRunning:
			v.Running = !paused && !ended
		case vcpu.StateBlocked:
			v.Blocked = true
		}
		running = running || v.Running
		i.CPUTime += v.Time
		i.VCPUs = append(i.VCPUs, v)
	}
	i.State.Paused = paused && !ended
	i.State.Running = running
	i.State.Blocked = !running && !paused && !ended
	if ended {
		i.State.Shutdown = reason.Code != control.ReasonDestroyed
		i.State.Dying = !i.State.Shutdown
		i.State.Reason = reason.Code
	}
	return i
}

func (m *Machine) infoPaths() *control.Paths {
	p := m.paths
	return &control.Paths{Hypercalls: p.Hypercalls, APIC: p.APIC, Events: p.Events, Upcall: p.Upcall, Timer: p.Timer,
		Memory: m.memoryWords(), Why: p.Why}
}

// Stats implements control.Machine.
func (m *Machine) Stats() control.Stats {
	exits := map[string]uint64{}
	for _, l := range m.cpus {
		countExits(exits, l.Counters())
		if m.cfg.Type == config.PV { // its own ports are emulated: what leaves by a port is the monitor
			exits["monitor"] += l.Counters().Exits[engine.ExitIO].Load()
		}
	}
	var s control.Stats
	s.Exits = sorted(exits)
	calls := map[string]uint64{}
	sum := m.dom.Hypercalls()
	for nr := range sum {
		for op, n := range sum[nr] {
			if n != 0 {
				name := hypercall.Name(nr)
				if sub := hypercall.SubName(nr, op); sub != "" {
					name += "/" + sub
				}
				calls[name] += n
			}
		}
	}
	s.Hypercalls = sorted(calls)
	var events = map[string]uint64{}
	for _, l := range m.cpus {
		events["upcall"] += l.Counters().Upcalls.Load()
		events["interrupt"] += l.Counters().Interrupts.Load()
	}
	s.Events = sorted(events)
	m.mu.Lock()
	s.Timings = append(s.Timings, m.timings...)
	m.mu.Unlock()
	return s
}

func countExits(out map[string]uint64, c *vcpu.Counts) {
	for k := range c.Exits {
		n := c.Exits[k].Load()
		switch engine.Kind(k) {
		case engine.ExitIO, engine.ExitRDMSR, engine.ExitWRMSR, engine.ExitMMIO:
		default:
			if n != 0 {
				out[engine.Kind(k).String()] += n
			}
		}
	}
	each := func(t *vcpu.Table, in, outName, format string) {
		t.Each(func(n uint32, write bool, count uint64) {
			dir := in
			if write {
				dir = outName
			}
			out[fmt.Sprintf(format, dir, n)] += count
		})
	}
	each(&c.Ports, "in", "out", "io:%s:%#x")
	each(&c.MSRs, "rdmsr", "wrmsr", "%s:%#x")
	each(&c.MMIO, "read", "write", "mmio:%s:%#x000")
}

func sorted(m map[string]uint64) []control.Counter {
	out := make([]control.Counter, 0, len(m))
	for k, n := range m {
		if n != 0 {
			out = append(out, control.Counter{Name: k, Count: n})
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Count != out[j].Count {
			return out[i].Count > out[j].Count
		}
		return out[i].Name < out[j].Name
	})
	return out
}

var _ control.Machine = (*Machine)(nil)
