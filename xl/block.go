package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/control/process"
	"gozen/xl/cfg"
)

func (a *app) blockAttach(c *call) int {
	args, rc := a.parse(c, options{need: 2}, nil)
	if rc != noReturn {
		return rc
	}
	d, e := cfg.ParseDisk(strings.Join(args[1:], ","))
	if e == nil {
		e = d.Check()
	}
	if e != nil {
		a.explain(e, nil)
		return exitFail
	}
	f, ok := a.findGuest(args[0], "attach disks to")
	if !ok {
		return exitFail
	}
	if a.dryRun {
		return a.printJSON(d)
	}
	file, err := process.OpenDisk(d)
	if err != nil {
		a.explain(d.Refused(err), nil)
		return exitFail
	}
	defer file.Close()
	return a.onDevice(f, "attach a disk to", func(c *control.Client, ctx context.Context) error { return c.AttachDisk(ctx, d, file) })
}

func (a *app) cdInsert(c *call) int {
	force := false
	args, rc := a.parse(c, options{long: map[string]byte{"force": 'f'}, need: 3}, func(byte, string) { force = true })
	if rc != noReturn {
		return rc
	}
	d, e := cfg.ParseDisk(fmt.Sprintf("vdev=%s,access=r,devtype=cdrom,%s", args[1], targetOf(args[2])))
	if e == nil {
		e = d.Check()
	}
	if e != nil {
		a.explain(e, nil)
		return exitFail
	}
	f, ok := a.findGuest(args[0], "change the CD-ROM of")
	if !ok {
		return exitFail
	}
	if a.dryRun {
		return a.printJSON(d)
	}
	file, err := process.OpenDisk(d)
	if err != nil {
		a.explain(d.Refused(err), nil)
		return exitFail
	}
	defer file.Close()
	return a.onDevice(f, "change the CD-ROM of", func(c *control.Client, ctx context.Context) error {
		return explainLocked(c.InsertCD(ctx, d, file, force), d.Vdev)
	})
}

// targetOf writes what stands for a medium on a command line, PATH or FORMAT:PATH, as part of a disk specification.
func targetOf(s string) string {
	if format, path, ok := strings.Cut(s, ":"); ok && (&config.Disk{Format: format}).Served() && !strings.Contains(format, "/") {
		return "format=" + format + ",target=" + path
	}
	return "target=" + strings.TrimPrefix(s, "raw:")
}

func (a *app) cdEject(c *call) int {
	f, args, force, rc := a.parseDetach(c, "CD-ROMs")
	if rc != noReturn {
		return rc
	}
	return a.onDevice(f, "take the CD-ROM from", func(c *control.Client, ctx context.Context) error {
		return explainLocked(c.EjectCD(ctx, args[1], force), args[1])
	})
}

// explainLocked explains that the guest keeps a medium in its drive; other errors stay as they are.
func explainLocked(err error, vdev string) error {
	if errors.Is(err, control.ErrBusy) {
		return &config.Error{What: "the guest has locked the drive " + vdev, Why: "it uses the medium in it; it has been asked to let go", Fix: "unmount it in the guest and try again, or use --force"}
	}
	return err
}

func (a *app) blockDetach(c *call) int {
	f, args, force, rc := a.parseDetach(c, "disks")
	if rc != noReturn {
		return rc
	}
	number, ok := (&config.Disk{Vdev: args[1]}).Number()
	if !ok {
		a.explain(&config.Error{What: fmt.Sprintf("%q is not the name or the number of a disk", args[1]), Fix: "xl block-list " + args[0] + " prints the numbers"}, nil)
		return exitFail
	}
	return a.onDevice(f, "detach a disk from", func(c *control.Client, ctx context.Context) error {
		return explainBusy(c.DetachDisk(ctx, number, force), "disk "+args[1], "unmount it in the guest")
	})
}

// blockDevice is a row of block-list.
type blockDevice struct {
	Vdev       int    `json:"vdev"`
	Name       string `json:"name"`
	Backend    int    `json:"backend_domid"`
	Frontend   int    `json:"frontend_domid"`
	State      int    `json:"state"`      // of the front end, an XenbusState
	EventPort  int    `json:"event_port"` // -1: none yet
	RingRef    int    `json:"ring_ref"`   // -1: none yet
	BackendDir string `json:"backend"`
	Target     string `json:"target"`
	Mode       string `json:"mode"` // r or w
}

func (a *app) blockList(c *call) int {
	return listDevices(a, c, "disks", disksOf, func(rows []blockDevice) {
		fmt.Fprintf(a.out, "%-5s %-3s %-6s %-5s %-6s %-8s %-30s\n", "Vdev", "BE", "handle", "state", "evt-ch", "ring-ref", "BE-path")
		for _, r := range rows {
			fmt.Fprintf(a.out, "%-5d %-3d %-6d %-5d %-6d %-8d %-30s\n", r.Vdev, r.Backend, r.Frontend, r.State, r.EventPort, r.RingRef, r.BackendDir)
		}
	})
}

// disksOf reads a domain's disks from xenstore.
func disksOf(f control.Found) (out []blockDevice, err error) {
	err = devicesOf(f, "vbd", func(d device) {
		out = append(out, blockDevice{Vdev: d.id, Name: d.read(d.back + "/dev"), Frontend: f.Domid, State: d.number(d.front + "/state"),
			EventPort: d.number(d.front + "/event-channel"), RingRef: d.number(d.front + "/ring-ref"), BackendDir: d.back, Target: d.read(d.back + "/params"),
			Mode: d.read(d.back + "/mode")})
	})
	return out, err
}
