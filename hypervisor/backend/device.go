package backend

import (
	"fmt"
	"maps"
	"strconv"
	"sync"

	"gozen/hypervisor/xen"
	"gozen/hypervisor/xenstore"
)

// Driver is the work of a device behind the handshake. Its methods are called one at a time.
type Driver interface {
	// Offer gives what the backend tells of itself before the frontend makes up its mind: nodes of its folder.
	Offer() map[string]string
	// Connect takes up work as the frontend's nodes say; front reads one. It gives more nodes of the backend's folder.
	Connect(front Front) (map[string]string, error)
	// Disconnect stops work. No guest memory is touched once it has returned. Connect may come again.
	Disconnect()
}

// DeviceConfig says what a device is.
type DeviceConfig struct {
	Store  *xenstore.Store
	Domain xen.DomID
	Kind   string // vbd, vif
	ID     int
	// Back and Front are nodes of the folders, from the start on.
	Back, Front map[string]string
	Driver      Driver
	// Log, which may be nil, is told of frontends that do what none should.
	Log func(string)
	// Wake, if set, makes the device work without a goroutine of its own; see ConsoleConfig.
	Wake func()
}

// Device is the back end's part of the handshake by which front end and back end of a paravirtual device find each other (public/io/xenbus.h): both
// have a folder in xenstore, with a state that only its owner changes.
type Device struct {
	*Worker
	cfg         DeviceConfig
	front, back string // folders
	stop        func()

	mu     sync.Mutex
	state  int // the backend's
	joined bool
	going  bool // the device is being taken away
	gone   chan struct{}
	once   sync.Once
}

// NewDevice puts a device into xenstore, as libxl does, and serves it.
func NewDevice(cfg DeviceConfig) (*Device, error) {
	d := &Device{cfg: cfg, gone: make(chan struct{}),
		front: fmt.Sprintf("%s/device/%s/%d", xenstore.DomainPath(cfg.Domain), cfg.Kind, cfg.ID),
		back:  fmt.Sprintf("/local/domain/0/backend/%s/%d/%d", cfg.Kind, cfg.Domain, cfg.ID)}
	if err := d.fill(); err != nil {
		d.remove()
		return nil, fmt.Errorf("%s %d of d%d: %w", cfg.Kind, cfg.ID, cfg.Domain, err)
	}
	d.Worker = StartWorker(d.step, cfg.Wake)
	d.stop = cfg.Store.OnChange(d.front, d.Kick)
	d.Kick()
	return d, nil
}

// fill makes both folders.
func (d *Device) fill() error {
	c := &d.cfg
	own := []xenstore.Perm{{Dom: c.Domain}, {Dom: 0, Access: xenstore.Read}}  // nN,r0
	ours := []xenstore.Perm{{Dom: 0}, {Dom: c.Domain, Access: xenstore.Read}} // n0,rN
	front := map[string]string{"backend": d.back, "backend-id": "0"}
	maps.Copy(front, c.Front)
	back := map[string]string{"frontend": d.front, "frontend-id": strconv.Itoa(int(c.Domain)), "online": "1"}
	maps.Copy(back, c.Back)
	maps.Copy(back, c.Driver.Offer())
	for _, f := range []struct {
		dir   string
		nodes map[string]string
		perms []xenstore.Perm
	}{{d.back, back, ours}, {d.front, front, own}} {
		if err := c.Store.Set(f.dir, "", f.perms...); err != nil {
			return err
		}
		for k, v := range f.nodes {
			if err := c.Store.Set(f.dir+"/"+k, v, f.perms...); err != nil {
				return err
			}
		}
		// The state comes last: a frontend that sees it finds the rest.
		if err := c.Store.Set(f.dir+"/state", strconv.Itoa(xen.XenbusStateInitialising), f.perms...); err != nil {
			return err
		}
	}
	d.state = xen.XenbusStateInitialising
	return nil
}

func (d *Device) read(key string) (string, bool) {
	b, err := d.cfg.Store.Read(d.front + "/" + key)
	return string(b), err == nil
}

func (d *Device) set(state int) {
	d.state = state
	_ = d.cfg.Store.Write(d.back+"/state", []byte(strconv.Itoa(state)))
}

// step looks at the front end's state and does what follows from it.
func (d *Device) step() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state == xen.XenbusStateUnknown {
		return // removed
	}
	s, ok := d.read("state")
	front, err := strconv.Atoi(s)
	if !ok || err != nil {
		front = xen.XenbusStateUnknown
	}
	switch front {
	case xen.XenbusStateInitialising:
		if d.going {
			d.leave() // nobody has looked at it yet
			return
		}
		// Also of a kernel that starts after another one in the same domain.
		if d.state != xen.XenbusStateInitWait {
			d.part()
			d.set(xen.XenbusStateInitWait)
		}
	case xen.XenbusStateInitialised, xen.XenbusStateConnected:
		if !d.joined && d.state == xen.XenbusStateInitWait {
			d.join()
		}
	case xen.XenbusStateClosing:
		d.part()
		if d.state != xen.XenbusStateClosing {
			d.set(xen.XenbusStateClosing)
		}
	case xen.XenbusStateClosed, xen.XenbusStateUnknown:
		d.part()
		if d.going {
			d.leave()
		} else if d.state != xen.XenbusStateClosed {
			d.set(xen.XenbusStateClosed)
		}
	}
}

// join begins work.
func (d *Device) join() {
	nodes, err := d.cfg.Driver.Connect(d.read)
	for k, v := range nodes {
		if e := d.cfg.Store.Write(d.back+"/"+k, []byte(v)); err == nil {
			err = e
		}
	}
	d.joined = true
	if err != nil {
		d.fail(err)
		return
	}
	d.set(xen.XenbusStateConnected)
}

// part ends work.
func (d *Device) part() {
	if d.joined {
		d.cfg.Driver.Disconnect()
		d.joined = false
	}
}

// fail gives the device up until the front end begins anew.
func (d *Device) fail(err error) {
	d.part()
	d.set(xen.XenbusStateClosing)
	_ = d.cfg.Store.Set(fmt.Sprintf("/local/domain/0/error/backend/%s/%d/%d/error", d.cfg.Kind, d.cfg.Domain, d.cfg.ID), err.Error())
	if d.cfg.Log != nil {
		d.cfg.Log(fmt.Sprintf("%s %d of d%d is closed: %v", d.cfg.Kind, d.cfg.ID, d.cfg.Domain, err))
	}
}

// Fail is for the driver, from a goroutine of its own: what the front end does cannot be gone on with.
func (d *Device) Fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.joined {
		d.fail(err)
	}
}

// Change writes nodes of the backend's folder and has the front end look at its state once more, as for a disk that has another size.
func (d *Device) Change(nodes map[string]string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, v := range nodes {
		if err := d.cfg.Store.Write(d.back+"/"+k, []byte(v)); err != nil {
			return err
		}
	}
	if d.joined {
		d.set(d.state)
	}
	return nil
}

// Detach asks the front end to let go. The channel is closed once it has, and the device is gone.
func (d *Device) Detach() <-chan struct{} {
	d.mu.Lock()
	if !d.going {
		d.going = true
		_ = d.cfg.Store.Write(d.back+"/online", []byte("0"))
		if d.state == xen.XenbusStateConnected || d.state == xen.XenbusStateInitWait {
			d.set(xen.XenbusStateClosing)
		}
	}
	d.mu.Unlock()
	d.Kick()
	return d.gone
}

// Joined reports whether front end and back end work together.
func (d *Device) Joined() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.joined
}

// State gives the backend's state, an XenbusState.
func (d *Device) State() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

// leave takes the device away; the caller holds mu.
func (d *Device) leave() {
	d.state = xen.XenbusStateUnknown
	d.remove()
	d.once.Do(func() { close(d.gone) })
}

func (d *Device) remove() {
	_ = d.cfg.Store.Rm(d.front)
	_ = d.cfg.Store.Rm(d.back)
}

// Close ends the device at once, whatever the front end does, and returns when no guest memory is touched any more.
func (d *Device) Close() {
	d.stop()
	d.Stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.part()
	if d.state != xen.XenbusStateUnknown {
		d.leave()
	}
}
