package main

import (
	"context"
	"fmt"
	"strconv"

	"gozen/hypervisor/control"
)

const dom0Name = "Domain-0"

// idReply is what -o json of domid and domname prints.
type idReply struct {
	Name  string `json:"name"`
	Domid int    `json:"domid"`
}

func (a *app) domid(c *call) int {
	args, f, rc := a.parseFormat(c, 1)
	if rc != noReturn {
		return rc
	}
	all, ok := a.domains()
	if !ok {
		return exitFail
	}
	for _, d := range append(all, control.Found{Name: dom0Name}) {
		if d.Name == args[0] {
			if f == "json" {
				return a.printJSON(idReply{d.Name, d.Domid})
			}
			fmt.Fprintln(a.out, d.Domid)
			return exitOK
		}
	}
	a.say("Can't get domid of domain name '%s', maybe this domain does not exist.", args[0])
	return exitFail
}

func (a *app) domname(c *call) int {
	args, f, rc := a.parseFormat(c, 1)
	if rc != noReturn {
		return rc
	}
	id, err := strconv.ParseUint(args[0], 10, 32)
	if err != nil {
		a.say("Invalid domain id.\n")
		return exitFail
	}
	all, ok := a.domains()
	if !ok {
		return exitFail
	}
	for _, d := range append(all, control.Found{Name: dom0Name}) {
		if uint64(d.Domid) == id {
			if f == "json" {
				return a.printJSON(idReply{d.Name, d.Domid})
			}
			fmt.Fprintln(a.out, d.Name)
			return exitOK
		}
	}
	a.say("Can't get domain name of domain id '%d', maybe this domain does not exist.", id)
	return exitFail
}

func (a *app) rename(c *call) int {
	args, rc := a.parse(c, options{need: 2}, nil)
	if rc != noReturn {
		return rc
	}
	f, ok := a.findGuest(args[0], "rename")
	if !ok {
		return exitFail
	}
	rc = a.simple(f, "rename", func(c *control.Client, ctx context.Context) error { return c.Rename(ctx, args[1]) })
	if rc != exitOK {
		a.say("Can't rename domain '%s'.", args[0])
	}
	return rc
}
