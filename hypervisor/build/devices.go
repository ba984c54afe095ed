package build

import (
	"context"
	"slices"

	"gozen/hypervisor/backend"
	"gozen/hypervisor/control"
)

// device is a device of the domain: a *guestDisk or a *guestNIC.
type device interface {
	comparable
	shown() *backend.Device
	// close ends it; what it is on stays with the process.
	close()
	drop(control.Devices)
}

// find gives the device of a list for which fits holds.
func find[D device](m *Machine, list *[]D, fits func(D) bool) (d D, ok bool) {
	m.devices.Lock()
	defer m.devices.Unlock()
	if at := slices.IndexFunc(*list, fits); at >= 0 {
		return (*list)[at], true
	}
	return d, false
}

// detach takes a device away once the guest has let it go, or at once with force.
func detach[D device](ctx context.Context, m *Machine, list *[]D, d D, force bool) error {
	if !force {
		select {
		case <-d.shown().Detach():
		case <-m.done:
			return control.ErrEnded
		case <-ctx.Done():
			return control.ErrBusy
		}
	}
	m.devices.Lock()
	defer m.devices.Unlock()
	if at := slices.Index(*list, d); at >= 0 { // nobody else has taken it away meanwhile
		*list = slices.Delete(*list, at, at+1)
		d.close()
		d.drop(m.opts.Devices)
	}
	return nil
}
