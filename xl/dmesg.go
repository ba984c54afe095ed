package main

import (
	"gozen/hypervisor/control"
)

// dmesg prints the hypervisor's messages: there is a ring for each domain, and they are printed one after the other.
func (a *app) dmesg(c *call) int {
	clear := false
	args, rc := a.parse(c, options{short: "c", long: map[string]byte{"clear": 'c'}}, func(byte, string) { clear = true })
	if rc != noReturn {
		return rc
	}
	var doms []control.Found
	ok := true
	if len(args) == 0 {
		doms, ok = a.domains()
	} else {
		doms, ok = a.chosen(args)
	}
	if !ok {
		return exitFail
	}
	rc = exitOK
	for _, f := range doms {
		if f.Domid == 0 {
			continue
		}
		cl, ctx, cancel := ask(f)
		b, err := cl.Dmesg(ctx, clear)
		cancel()
		cl.Close()
		if err != nil {
			a.failed(f, "dmesg", err)
			rc = exitFail
			continue
		}
		_, _ = a.out.Write(b)
	}
	return rc
}
