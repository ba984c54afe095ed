package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"gozen/hypervisor/backend"
	"gozen/hypervisor/backend/net"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/link"
)

var _ control.NICs = (*Machine)(nil)

// A guestNIC is one network device of the domain: the link, and the PV device that the guest sees it by.
type guestNIC struct {
	cfg   config.NIC
	iface string // of the host; empty for one with a network of its own
	links []*link.Queue
	work  *net.VIF
	dev   *backend.Device
}

// openNICs gets what the network devices are on.
func (m *Machine) openNICs() error {
	for _, c := range m.cfg.NICs {
		if m.opts.Devices == nil {
			return &config.Error{Field: "vif", What: fmt.Sprintf("network device %d cannot be had", c.ID), Why: "nothing makes links here"}
		}
		name, files, err := m.opts.Devices.OpenNIC(c)
		if err != nil {
			return c.Refused(err)
		}
		n, err := newNIC(c, name, files)
		if err != nil {
			return c.Refused(err)
		}
		m.nics = append(m.nics, n)
	}
	return nil
}

// newNIC takes files over, also on an error.
func newNIC(c config.NIC, name string, files []*os.File) (*guestNIC, error) {
	n := &guestNIC{cfg: c, iface: name}
	var errs error
	for _, f := range files {
		q, err := link.NewQueue(f)
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		n.links = append(n.links, q)
	}
	if errs != nil {
		n.close()
		return nil, errs
	}
	return n, nil
}

// offerNIC puts a network device into xenstore, for the guest to take up.
func (m *Machine) offerNIC(n *guestNIC) error {
	var ports []net.Port
	for _, q := range n.links {
		ports = append(ports, q)
	}
	n.work = net.New(net.Config{Grants: m.dom.Grants, Events: m.dom.Events, Ports: ports, Rate: net.Rate{Bytes: n.cfg.RateBytes, Every: n.cfg.RateEvery},
		NoGSO: n.cfg.User != nil, Broken: func(err error) { n.dev.Fail(err) }})
	back := map[string]string{"handle": strconv.Itoa(n.cfg.ID), "mac": n.cfg.MAC, "mtu": strconv.Itoa(n.cfg.MTU), "type": "vif", "hotplug-status": "connected"}
	for k, v := range map[string]string{"vifname": n.iface, "bridge": n.cfg.Bridge, "ip": n.cfg.IP} {
		if v != "" {
			back[k] = v
		}
	}
	if n.cfg.RateBytes > 0 {
		back["rate"] = fmt.Sprintf("%d,%d", n.cfg.RateBytes, n.cfg.RateEvery.Microseconds())
	}
	var err error
	n.dev, err = backend.NewDevice(backend.DeviceConfig{Store: m.store, Domain: m.dom.ID, Kind: "vif", ID: n.cfg.ID, Driver: n.work, Back: back,
		Front: map[string]string{"handle": strconv.Itoa(n.cfg.ID), "mac": n.cfg.MAC, "mtu": strconv.Itoa(n.cfg.MTU)},
		Log:   func(line string) { m.opts.Log.Logf("%s", line) }})
	return err
}

// offerNICs puts all network devices into xenstore.
func (m *Machine) offerNICs() error {
	for _, n := range m.nics {
		if err := m.offerNIC(n); err != nil {
			return err
		}
	}
	return nil
}

// AttachNIC implements control.NICs.
func (m *Machine) AttachNIC(c config.NIC, name string, files []*os.File) error {
	if m.cfg.Deterministic {
		link.CloseAll(files)
		return &config.Error{Field: "vif", What: "a deterministic domain has no network", Why: "what comes over it, and when, would not be the same in another run", Fix: "use a domain that is not"}
	}
	m.devices.Lock()
	defer m.devices.Unlock()
	for _, o := range m.nics {
		if o.cfg.ID == c.ID || o.cfg.MAC == c.MAC {
			link.CloseAll(files)
			return &config.Error{Field: "vif", What: fmt.Sprintf("the domain has the network device %d with the address %s already", o.cfg.ID, o.cfg.MAC), Fix: "give the new one another devid and mac, or leave them out"}
		}
	}
	if err := m.opts.Devices.KeepNIC(c, name, files); err != nil {
		link.CloseAll(files)
		return c.Refused(err)
	}
	n, err := newNIC(c, name, files)
	if err != nil {
		m.opts.Devices.DropNIC(c)
		return c.Refused(err)
	}
	if err := m.offerNIC(n); err != nil {
		n.close()
		n.drop(m.opts.Devices)
		return err
	}
	m.nics = append(m.nics, n)
	return nil
}

// DetachNIC implements control.NICs.
func (m *Machine) DetachNIC(ctx context.Context, id int, force bool) error {
	n, ok := find(m, &m.nics, func(n *guestNIC) bool { return n.cfg.ID == id })
	if !ok {
		return &config.Error{Field: "vif", What: fmt.Sprintf("the domain has no network device %d", id), Fix: "xl network-list names those it has"}
	}
	return detach(ctx, m, &m.nics, n, force)
}

func (n *guestNIC) shown() *backend.Device { return n.dev }

func (n *guestNIC) drop(k control.Devices) { k.DropNIC(n.cfg) }

func (n *guestNIC) close() {
	if n.dev != nil {
		n.dev.Close()
	}
	for _, q := range n.links {
		_ = q.Close()
	}
}
