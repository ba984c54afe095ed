package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/xl/cfg"
)

// deviceTime bounds an answer that may wait for the guest; libxl gives a guest 10 seconds to let a device go.
const deviceTime = 15 * time.Second

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
	how := os.O_RDWR
	if d.ReadOnly {
		how = os.O_RDONLY
	}
	file, err := os.OpenFile(d.Path, how|syscall.O_NONBLOCK, 0)
	if err != nil {
		a.explain(&config.Error{What: fmt.Sprintf("disk %s cannot be opened", d.Vdev), Why: err.Error(), Fix: "check the path and the rights of the file"}, nil)
		return exitFail
	}
	defer file.Close()
	return a.onDevice(f, "attach a disk to", func(c *control.Client, ctx context.Context) error { return c.AttachDisk(ctx, d, file) })
}

func (a *app) blockDetach(c *call) int {
	force := false
	args, rc := a.parse(c, options{long: map[string]byte{"force": 'f'}, need: 2}, func(byte, string) { force = true })
	if rc != noReturn {
		return rc
	}
	f, ok := a.findGuest(args[0], "detach disks from")
	if !ok {
		return exitFail
	}
	number, ok := (&config.Disk{Vdev: args[1]}).Number()
	if !ok {
		a.explain(&config.Error{What: fmt.Sprintf("%q is not the name or the number of a disk", args[1]), Fix: "xl block-list " + args[0] + " prints the numbers"}, nil)
		return exitFail
	}
	return a.onDevice(f, "detach a disk from", func(c *control.Client, ctx context.Context) error {
		err := c.DetachDisk(ctx, number, force)
		if errors.Is(err, control.ErrBusy) {
			return &config.Error{What: fmt.Sprintf("disk %s is still there", args[1]), Why: control.ErrBusy.Error(), Fix: "unmount it in the guest and try again, or use --force"}
		}
		return err
	})
}

// onDevice is simple for what waits for the guest.
func (a *app) onDevice(f control.Found, verb string, do func(*control.Client, context.Context) error) int {
	ctx, cancel := context.WithTimeout(context.Background(), deviceTime)
	defer cancel()
	c := control.NewClient(f.Dir)
	defer c.Close()
	if err := do(c, ctx); err != nil {
		a.failed(f, verb, err)
		return exitFail
	}
	return exitOK
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
	var f format
	args, rc := a.parse(c, options{short: "o:", need: 1}, func(_ byte, v string) { f = format(v) })
	if rc != noReturn {
		return rc
	}
	if rc := a.checkFormat(f); rc != noReturn {
		return rc
	}
	rows := []blockDevice{}
	for _, name := range args {
		d, ok := a.find(name)
		if !ok {
			continue // xl goes on with the next one
		}
		got, err := disksOf(d)
		if err != nil {
			a.failed(d, "list the disks of", err)
			return exitFail
		}
		rows = append(rows, got...)
	}
	if f == "json" {
		return a.printJSON(rows)
	}
	fmt.Fprintf(a.out, "%-5s %-3s %-6s %-5s %-6s %-8s %-30s\n", "Vdev", "BE", "handle", "state", "evt-ch", "ring-ref", "BE-path")
	for _, r := range rows {
		fmt.Fprintf(a.out, "%-5d %-3d %-6d %-5d %-6d %-8d %-30s\n", r.Vdev, r.Backend, r.Frontend, r.State, r.EventPort, r.RingRef, r.BackendDir)
	}
	return exitOK
}

// device reads the nodes of one device of a domain.
type device struct {
	id          int
	front, back string // folders
	read        func(path string) string
}

func (d device) number(path string) int {
	n, err := strconv.Atoi(d.read(path))
	if err != nil {
		return -1
	}
	return n
}

// devicesOf gives the devices of a kind that a domain has.
func devicesOf(f control.Found, kind string, each func(device)) error {
	if f.Domid == 0 {
		return nil
	}
	c, ctx, cancel := ask(f)
	defer cancel()
	defer c.Close()
	dir := fmt.Sprintf("/local/domain/%d/device/%s", f.Domid, kind)
	names, err := c.StoreList(ctx, dir)
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	read := func(path string) string {
		b, _ := c.StoreRead(ctx, path)
		return string(b)
	}
	for _, n := range names {
		if id, err := strconv.Atoi(n); err == nil {
			// The back end's folder is not found by the front end's node, which the guest may change.
			each(device{id, dir + "/" + n, fmt.Sprintf("/local/domain/0/backend/%s/%d/%s", kind, f.Domid, n), read})
		}
	}
	return nil
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
