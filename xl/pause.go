package main

import (
	"context"

	"gozen/hypervisor/control"
)

func (a *app) pause(c *call) int {
	return a.onGuest(c, "pause", func(c *control.Client, ctx context.Context) error { return c.Pause(ctx) })
}

func (a *app) unpause(c *call) int {
	return a.onGuest(c, "unpause", func(c *control.Client, ctx context.Context) error { return c.Unpause(ctx) })
}

// onGuest does one thing with the one domain that the operands name.
func (a *app) onGuest(c *call, verb string, do func(*control.Client, context.Context) error) int {
	args, rc := a.parse(c, options{need: 1}, nil)
	if rc != noReturn {
		return rc
	}
	f, ok := a.findGuest(args[0], verb)
	if !ok {
		return exitFail
	}
	return a.simple(f, verb, do)
}
