package main

import (
	"errors"
	"os/exec"

	"gozen/hypervisor/control/process"
)

// trace hands over to perfctl, which has what it takes to try a kernel's eBPF; so xl stays small.
func (a *app) trace(c *call) int {
	f := format("")
	args, rc := a.parse(c, options{short: "o:", need: 1}, func(_ byte, v string) { f = format(v) })
	if rc != noReturn {
		return rc
	}
	if rc := a.checkFormat(f); rc != noReturn {
		return rc
	}
	if args[0] != "doctor" || len(args) > 1 {
		a.say("xl trace: there is doctor; perfctl trace --kernel traces")
		return exitUsage
	}
	program, err := process.FindPerfctl()
	if err != nil {
		a.explain(err, nil)
		return exitFail
	}
	run := []string{"trace", "doctor"}
	if f == "json" {
		run = append(run, "-o", "json")
	}
	p := exec.Command(program, run...)
	p.Stdout, p.Stderr = a.out, a.err
	err = p.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) { // it has said itself what ended it
		a.say("xl trace: %v", err)
	}
	if err != nil {
		return exitFail
	}
	return exitOK
}
