package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
)

// deviceTime bounds an answer that may wait for the guest; libxl gives a guest 10 seconds to let a device go.
const deviceTime = 15 * time.Second

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

// parseDetach reads what takes a device away: a domain, what names the device, and --force.
func (a *app) parseDetach(c *call, kind string) (f control.Found, args []string, force bool, rc int) {
	args, rc = a.parse(c, options{long: map[string]byte{"force": 'f'}, need: 2}, func(byte, string) { force = true })
	if rc != noReturn {
		return f, nil, false, rc
	}
	f, ok := a.findGuest(args[0], "detach "+kind+" from")
	if !ok {
		rc = exitFail
	}
	return f, args, force, rc
}

// explainBusy explains that the guest has not let a device go; other errors stay as they are.
func explainBusy(err error, device, first string) error {
	if errors.Is(err, control.ErrBusy) {
		return &config.Error{What: device + " is still there", Why: control.ErrBusy.Error(), Fix: first + " and try again, or use --force"}
	}
	return err
}

// listDevices is a command that lists the devices of domains, as a table or as JSON.
func listDevices[T any](a *app, c *call, kind string, of func(control.Found) ([]T, error), table func([]T)) int {
	args, f, rc := a.parseFormat(c, 1)
	if rc != noReturn {
		return rc
	}
	rows := []T{}
	for _, name := range args {
		d, ok := a.find(name)
		if !ok {
			continue // xl goes on with the next one
		}
		got, err := of(d)
		if err != nil {
			a.failed(d, "list the "+kind+" of", err)
			return exitFail
		}
		rows = append(rows, got...)
	}
	if f == "json" {
		return a.printJSON(rows)
	}
	table(rows)
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
