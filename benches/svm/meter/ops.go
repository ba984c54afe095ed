package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"gozen/hypervisor/config"
)

// opsEnd is the last line of the program that measures operations.
const opsEnd = "op end"

// guestOps runs the operations in a guest whose init starts them.
func guestOps(args []string) error {
	if len(args) != 4 {
		return errors.New("guest: NAME MODE KERNEL INITRD")
	}
	mode := map[string]config.TSCMode{"default": config.TSCDefault, "native": config.TSCNative}[args[1]]
	start := func() (*guest, error) { return startGozen(args[0], args[2], args[3], mode) }
	return with(args[0], start, func(g *guest) error {
		text, err := g.wait(opsEnd, nil)
		if err != nil {
			return err
		}
		return reportOps(args[0], text)
	})
}

// bareOps runs them on this host.
func bareOps(args []string) error {
	if len(args) != 2 {
		return errors.New("bare: NAME PROGRAM")
	}
	out, err := exec.Command(args[1]).Output()
	if err != nil {
		return err
	}
	return reportOps(args[0], string(out))
}

func reportOps(name, text string) error {
	ops, notes, err := parseOps(text)
	if err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintf(os.Stderr, "meter: %s: %s\n", name, n)
	}
	for _, o := range ops {
		report(name+"/op/"+o.name, o.median, map[string]uint64{"best": uint64(o.best)})
	}
	return nil
}

type op struct {
	name         string
	best, median float64
}

// parseOps reads what the program printed: lines "op NAME BEST MEDIAN" and "op note TEXT...", and at the end opsEnd.
func parseOps(text string) (ops []op, notes []string, err error) {
	for l := range strings.Lines(text) {
		f := strings.Fields(l)
		switch {
		case len(f) < 2 || f[0] != "op":
		case f[1] == "end":
			return ops, notes, nil
		case f[1] == "note":
			notes = append(notes, strings.Join(f[2:], " "))
		case len(f) == 4:
			best, err1 := strconv.ParseFloat(f[2], 64)
			median, err2 := strconv.ParseFloat(f[3], 64)
			if err := errors.Join(err1, err2); err != nil {
				return nil, nil, err
			}
			ops = append(ops, op{f[1], best, median})
		}
	}
	return nil, nil, errors.New("the operations did not come to their end")
}
