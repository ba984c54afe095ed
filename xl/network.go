package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/control/process"
	"gozen/hypervisor/link"
	"gozen/xl/cfg"
)

func (a *app) networkAttach(c *call) int {
	args, rc := a.parse(c, options{need: 1}, nil)
	if rc != noReturn {
		return rc
	}
	f, ok := a.findGuest(args[0], "attach network devices to")
	if !ok {
		return exitFail
	}
	have, ok := a.nics(f)
	if !ok {
		return exitFail
	}
	id := 0
	for _, n := range have {
		id = max(id, n.ID+1)
	}
	n, e := cfg.ParseVIF(strings.Join(args[1:], ","), id)
	n.Complete(f.Name)
	if e == nil {
		e = n.Check()
	}
	if e != nil {
		a.explain(e, nil)
		return exitFail
	}
	if a.dryRun {
		return a.printJSON(n)
	}
	name, files, err := process.OpenLink(n, 1, f.Config.NoSandbox)
	if err != nil {
		a.explain(n.Refused(err), nil)
		return exitFail
	}
	defer link.CloseAll(files)
	return a.onDevice(f, "attach a network device to", func(c *control.Client, ctx context.Context) error {
		err := c.AttachNIC(ctx, n, name, files)
		if err != nil || n.Script == "" {
			return err
		}
		if err = a.plugIn(a.reg.Root(), f.Domid, f.Dir, []config.NIC{n}); err != nil {
			return errors.Join(err, c.DetachNIC(ctx, n.ID, true))
		}
		return nil
	})
}

func (a *app) networkDetach(c *call) int {
	f, args, force, rc := a.parseDetach(c, "network devices")
	if rc != noReturn {
		return rc
	}
	have, ok := a.nics(f)
	if !ok {
		return exitFail
	}
	id := -1
	for _, n := range have {
		if strconv.Itoa(n.ID) == args[1] || strings.EqualFold(n.MAC, args[1]) {
			id = n.ID
		}
	}
	if id < 0 {
		a.explain(&config.Error{What: fmt.Sprintf("domain %s has no network device %s", args[0], args[1]), Fix: "xl network-list " + args[0] + " prints the numbers and addresses"}, nil)
		return exitFail
	}
	return a.onDevice(f, "detach a network device from", func(c *control.Client, ctx context.Context) error {
		return explainBusy(c.DetachNIC(ctx, id, force), "network device "+args[1], "set it down in the guest")
	})
}

// nics gives a domain's network devices; false: they could not be read, which has been said.
func (a *app) nics(f control.Found) ([]networkDevice, bool) {
	have, err := nicsOf(f)
	if err != nil {
		a.failed(f, "list the network devices of", err)
	}
	return have, err == nil
}

// networkDevice is a row of network-list.
type networkDevice struct {
	ID         int    `json:"devid"`
	Backend    int    `json:"backend_domid"`
	MAC        string `json:"mac"`
	Frontend   int    `json:"frontend_domid"`
	State      int    `json:"state"`         // of the front end, an XenbusState
	EventTx    int    `json:"event_port_tx"` // -1: none yet
	EventRx    int    `json:"event_port_rx"`
	RingTx     int    `json:"ring_ref_tx"`
	RingRx     int    `json:"ring_ref_rx"`
	BackendDir string `json:"backend"`
	Interface  string `json:"interface"` // of the host
	Bridge     string `json:"bridge"`
}

func (a *app) networkList(c *call) int {
	return listDevices(a, c, "network devices", nicsOf, func(rows []networkDevice) {
		fmt.Fprintf(a.out, "%-3s %-2s %-17s %-6s %-5s %-6s %5s/%-5s %-30s\n", "Idx", "BE", "Mac Addr.", "handle", "state", "evt-ch", "tx-", "rx-ring-ref", "BE-path")
		for _, r := range rows {
			fmt.Fprintf(a.out, "%-3d %-2d %-17s %-6d %-5d %-6d %5d/%-11d %-30s\n", r.ID, r.Backend, r.MAC, r.ID, r.State, r.EventTx, r.RingTx, r.RingRx, r.BackendDir)
		}
	})
}

// nicsOf reads a domain's network devices from xenstore.
func nicsOf(f control.Found) (out []networkDevice, err error) {
	err = devicesOf(f, "vif", func(d device) {
		n := networkDevice{ID: d.id, MAC: d.read(d.back + "/mac"), Frontend: f.Domid, State: d.number(d.front + "/state"), BackendDir: d.back,
			Interface: d.read(d.back + "/vifname"), Bridge: d.read(d.back + "/bridge")}
		queue := d.front
		if d.number(d.front+"/multi-queue-num-queues") > 1 {
			queue += "/queue-0"
		}
		n.EventTx, n.EventRx = d.number(queue+"/event-channel-tx"), d.number(queue+"/event-channel-rx")
		if n.EventTx < 0 {
			n.EventTx, n.EventRx = d.number(queue+"/event-channel"), d.number(queue+"/event-channel")
		}
		n.RingTx, n.RingRx = d.number(queue+"/tx-ring-ref"), d.number(queue+"/rx-ring-ref")
		out = append(out, n)
	})
	return out, err
}
