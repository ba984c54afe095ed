package evtchn

import (
	"fmt"
	"sync/atomic"

	"gozen/hypervisor/xen"
)

// HostPort is the host's end of a guest's port: what a backend in domain 0 holds on Xen.
type HostPort struct {
	t    *Table
	port Port
	fn   func()
	dead atomic.Bool
}

// Port gives the guest's end, as it is told to the guest (HVM_PARAM_STORE_EVTCHN, xenstore).
func (h *HostPort) Port() Port { return h.port }

// Alive reports whether the guest's end is still connected to this HostPort.
func (h *HostPort) Alive() bool { return !h.dead.Load() }

// Notify raises the guest's end. It reports false if the guest closed it. It does not allocate.
func (h *HostPort) Notify() bool {
	t := h.t
	t.mu.Lock()
	var e effect
	c := t.get(h.port)
	ok := c != nil && c.host == h
	if ok {
		t.setPending(int(c.vcpu), h.port, &e)
	}
	t.fire(&e)
	return ok
}

// Close lets the guest's end go: it becomes unbound and may be bound again with BindHost. fn may still be running
// in another goroutine when Close returns.
func (h *HostPort) Close() {
	t := h.t
	t.mu.Lock()
	defer t.mu.Unlock()
	h.dead.Store(true)
	if c := t.get(h.port); c != nil && c.host == h {
		c.state, c.remote, c.peer, c.host = unbound, 0, 0, nil
	}
}

func (t *Table) connect(p Port, c *channel, fn func()) *HostPort {
	h := &HostPort{t: t, port: p, fn: fn}
	c.state, c.remote, c.peer, c.host = interdomain, 0, t.hostPort(), h
	return h
}

// hostPort numbers the ends of the host, which the guest sees in EVTCHNOP_status only.
func (t *Table) hostPort() Port {
	t.nextHost++
	return t.nextHost - 1
}

// AllocHost takes a guest port whose other end is on the host, as the toolstack does for the console and the
// store. fn is called, on a vCPU's goroutine and with no lock held, when the guest sends; it must not
// block.
func (t *Table) AllocHost(fn func()) (*HostPort, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, c, err := t.alloc()
	if err != 0 {
		return nil, fmt.Errorf("allocate an event channel of d%d: %w", t.cfg.Dom, err)
	}
	return t.connect(p, c, fn), nil
}

// BindHost connects the host to a port that the guest left unbound for domain 0 (a frontend's event-channel). The guest's end is
// not raised. fn is called as for AllocHost.
func (t *Table) BindHost(p Port, fn func()) (*HostPort, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.get(p)
	if c == nil || c.state != unbound || c.remote != 0 {
		return nil, fmt.Errorf("bind event channel %d of d%d: %w", p, t.cfg.Dom, xen.EINVAL)
	}
	return t.connect(p, c, fn), nil
}

// ListenHost makes a port of domain 0 that the guest may bind once with EVTCHNOP_bind_interdomain. fn is called, with no lock
// held, for each notification the guest sends there.
func (t *Table) ListenHost(fn func()) Port {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listeners == nil {
		t.listeners = map[Port]func(){}
	}
	p := t.hostPort()
	t.listeners[p] = fn
	return p
}

func (t *Table) bindListener(p, remote Port) xen.Errno {
	fn, ok := t.listeners[remote]
	if !ok {
		return xen.EINVAL
	}
	delete(t.listeners, remote)
	t.chns[p].host = &HostPort{t: t, port: p, fn: fn}
	return 0
}
