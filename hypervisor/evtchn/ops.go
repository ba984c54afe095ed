package evtchn

import "gozen/hypervisor/xen"

// usable says whether events can be raised on the port.
func (c *channel) usable() bool { return c.state > reserved }

// perVCPU says whether each vCPU has its own instance of a VIRQ; the others are bound once, on vCPU 0.
func perVCPU(v uint32) bool {
	switch v {
	case xen.VIRQ_TIMER, xen.VIRQ_DEBUG, xen.VIRQ_XENOPROF, xen.VIRQ_XENPMU:
		return true
	}
	return false
}

// self turns DOMID_SELF into the domain's own id.
func (t *Table) self(d xen.DomID) xen.DomID {
	if d == xen.DOMID_SELF {
		return t.cfg.Dom
	}
	return d
}

// AllocUnbound takes a port that domain remote may bind (EVTCHNOP_alloc_unbound).
func (t *Table) AllocUnbound(remote xen.DomID) (Port, xen.Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, c, err := t.alloc()
	if err != 0 {
		return 0, err
	}
	c.state, c.remote = unbound, t.self(remote)
	return p, 0
}

// BindInterdomain takes a port and connects it to a port of another domain (EVTCHNOP_bind_interdomain): an
// unbound one of this domain, or one the host listens on, for domain 0. The local port is raised once, as
// notifications may have been lost before.
func (t *Table) BindInterdomain(dom xen.DomID, remote Port) (Port, xen.Errno) {
	dom = t.self(dom)
	if dom != t.cfg.Dom && dom != 0 {
		return 0, xen.ESRCH
	}
	t.mu.Lock()
	var e effect
	defer t.fire(&e)
	p, _, err := t.alloc()
	if err != 0 {
		return 0, err
	}
	if dom == t.cfg.Dom {
		err = t.bindLoop(p, remote)
	} else {
		err = t.bindListener(p, remote)
	}
	c := &t.chns[p]
	if err != 0 {
		t.release(p, c)
		return 0, err
	}
	c.state, c.remote, c.peer = interdomain, dom, remote
	t.setPending(int(c.vcpu), p, &e)
	return p, 0
}

func (t *Table) bindLoop(p, remote Port) xen.Errno {
	r := t.get(remote)
	if r == nil || r.state != unbound || r.remote != t.cfg.Dom {
		return xen.EINVAL
	}
	r.state, r.peer = interdomain, p
	return 0
}

// BindVIRQ takes a port for a virtual interrupt (EVTCHNOP_bind_virq).
func (t *Table) BindVIRQ(v, vcpu uint32) (Port, xen.Errno) {
	switch {
	case v >= xen.NR_VIRQS, !perVCPU(v) && vcpu != 0:
		return 0, xen.EINVAL
	case vcpu >= uint32(t.cfg.VCPUs):
		return 0, xen.ENOENT
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.virqPort[vcpu][v] != 0 {
		return 0, xen.EEXIST
	}
	p, c, err := t.alloc()
	if err != 0 {
		return 0, err
	}
	c.state, c.vcpu, c.virq = virq, uint16(vcpu), uint8(v)
	t.virqPort[vcpu][v] = p
	if v == xen.VIRQ_TIMER {
		t.timerPort(int(vcpu), p)
	}
	return p, 0
}

// BindIPI takes a port that raises itself on a vCPU when sent (EVTCHNOP_bind_ipi).
func (t *Table) BindIPI(vcpu uint32) (Port, xen.Errno) {
	if vcpu >= uint32(t.cfg.VCPUs) {
		return 0, xen.ENOENT
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p, c, err := t.alloc()
	if err != 0 {
		return 0, err
	}
	c.state, c.vcpu = ipi, uint16(vcpu)
	return p, 0
}

// BindVCPU makes the events of a port go to another vCPU (EVTCHNOP_bind_vcpu).
func (t *Table) BindVCPU(p Port, vcpu uint32) xen.Errno {
	if vcpu >= uint32(t.cfg.VCPUs) {
		return xen.ENOENT
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.get(p)
	if c == nil {
		return xen.EINVAL
	}
	switch {
	case c.state == unbound, c.state == interdomain, c.state == virq && !perVCPU(uint32(c.virq)):
		c.vcpu = uint16(vcpu)
		return 0
	}
	return xen.EINVAL
}

// Close frees a port (EVTCHNOP_close). A peer in the same domain becomes unbound, a HostPort dead.
func (t *Table) Close(p Port) xen.Errno {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.close(p)
}

func (t *Table) close(p Port) xen.Errno {
	c := t.get(p)
	if c == nil {
		return xen.EINVAL
	}
	switch c.state {
	case free, reserved:
		return xen.EINVAL
	case virq:
		v := uint16(0)
		if perVCPU(uint32(c.virq)) {
			v = c.vcpu
		}
		t.virqPort[v][c.virq] = 0
	case interdomain:
		if r := t.get(c.peer); c.host == nil && r != nil && c.peer != p {
			r.state, r.remote, r.peer = unbound, t.cfg.Dom, 0
		}
	}
	t.release(p, c)
	return 0
}

// Send is EVTCHNOP_send: it raises the other end of a port. When that is on the host, its function is
// called in the caller's goroutine. It does not allocate.
func (t *Table) Send(p Port) xen.Errno {
	t.mu.Lock()
	var e effect
	c := t.get(p)
	if c == nil {
		t.mu.Unlock()
		return xen.EINVAL
	}
	var err xen.Errno
	switch c.state {
	case interdomain:
		if c.host != nil {
			e.host = c.host.fn
		} else if r := t.get(c.peer); r != nil {
			t.setPending(int(r.vcpu), c.peer, &e)
		}
	case ipi:
		t.setPending(int(c.vcpu), p, &e)
	case unbound: // nobody listens yet
	default:
		err = xen.EINVAL
	}
	t.fire(&e)
	return err
}

// RaiseVIRQ raises a virtual interrupt on a vCPU (0 for the VIRQs that exist once). It reports whether the guest had it bound.
// It does not allocate.
func (t *Table) RaiseVIRQ(vcpu int, v uint32) bool {
	t.mu.Lock()
	var e effect
	p := t.virqPort[vcpu][v]
	if p != 0 {
		if !perVCPU(v) {
			vcpu = int(t.chns[p].vcpu)
		}
		t.setPending(vcpu, p, &e)
	}
	t.fire(&e)
	return p != 0
}

// Unmask clears a port's mask and delivers what was pending (EVTCHNOP_unmask).
func (t *Table) Unmask(p Port) xen.Errno {
	t.mu.Lock()
	var e effect
	c := t.get(p)
	if c == nil {
		t.mu.Unlock()
		return xen.EINVAL
	}
	if c.usable() {
		if t.fifo != nil {
			t.fifoUnmask(int(c.vcpu), p, &e)
		} else {
			t.twoLevelUnmask(int(c.vcpu), p, &e)
		}
	}
	t.fire(&e)
	return 0
}

// Pending says whether an event waits on a port, for SCHEDOP_poll.
func (t *Table) Pending(p Port) (bool, xen.Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.get(p)
	if c == nil || !c.usable() {
		return false, xen.EINVAL
	}
	if t.fifo == nil {
		return t.twoLevelIsPending(p), 0
	}
	pg, off, ok := t.fifo.word(p)
	return ok && pg.Load32(off)&fifoPending != 0, 0
}

// Status is what EVTCHNOP_status tells about a port.
type Status struct {
	Kind   uint32 // EVTCHNSTAT_*
	VCPU   uint32
	Remote xen.DomID // unbound, interdomain
	Peer   Port      // interdomain
	VIRQ   uint32    // virq
}

// Status describes a port (EVTCHNOP_status).
func (t *Table) Status(p Port) (Status, xen.Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.get(p)
	if c == nil {
		return Status{}, xen.EINVAL
	}
	s := Status{VCPU: uint32(c.vcpu)}
	switch c.state {
	case unbound:
		s.Kind, s.Remote = xen.EVTCHNSTAT_unbound, c.remote
	case interdomain:
		s.Kind, s.Remote, s.Peer = xen.EVTCHNSTAT_interdomain, c.remote, c.peer
	case virq:
		s.Kind, s.VIRQ = xen.EVTCHNSTAT_virq, uint32(c.virq)
	case ipi:
		s.Kind = xen.EVTCHNSTAT_ipi
	default:
		s.Kind = xen.EVTCHNSTAT_closed
	}
	return s, 0
}

// resetStep bounds the ports closed by one call of Reset.
const resetStep = 1024

// Reset closes ports (EVTCHNOP_reset) and, when all are closed, returns to the 2-level ABI. A call does a bounded
// part; it reports true while there is more to do.
func (t *Table) Reset() (more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := max(t.resetAt, 1)
	for n := 0; p < Port(len(t.chns)); p, n = p+1, n+1 {
		if n == resetStep {
			t.resetAt = p
			return true
		}
		_ = t.close(p)
	}
	t.resetAt = 0
	t.fifo = nil
	for i := range t.chns {
		t.chns[i].lastPrio, t.chns[i].lastVCPU, t.chns[i].pending = 0, 0, false
	}
	return false
}
