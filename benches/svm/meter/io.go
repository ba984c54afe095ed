package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gozen/hypervisor/config"
)

// guestIO runs the program that measures disk and network, in a guest of gozen or of another VMM.
func guestIO(args []string) error {
	if len(args) < 4 {
		return errors.New("io: NAME KERNEL INITRD IMAGE [COMMAND...]")
	}
	name, image := args[0], args[3]
	start := func() (*guest, error) {
		return startGozen(name, args[1], args[2], config.TSCDefault, func(c *config.Domain) {
			c.Disks = []config.Disk{{Path: image, Vdev: "xvda"}}
			c.NICs = []config.NIC{{Name: tapName}}
		})
	}
	if len(args) > 4 {
		start = func() (*guest, error) { return startOther(args[4:]) }
	}
	return with(name, start, func(g *guest) error {
		if err := address(tapName); err != nil {
			return err
		}
		stop, err := serve()
		if err != nil {
			return err
		}
		defer stop()
		c := meterIO{name: name}
		text, err := g.wait(opsEnd, c.line)
		if err != nil {
			return err
		}
		return reportOps(name, text)
	})
}

// meterIO counts the exits of each thing that the program does.
type meterIO struct {
	name   string
	ops    float64
	before uint64
}

// line looks at a line of the program: "io begin NAME OPERATIONS" or "io end NAME".
func (m *meterIO) line(l string) {
	f := strings.Fields(l)
	switch {
	case len(f) == 4 && f[0] == "io" && f[1] == "begin":
		m.ops, _ = strconv.ParseFloat(f[3], 64)
		m.before = counters()["exits"]
	case len(f) == 3 && f[0] == "io" && f[1] == "end" && m.ops > 0:
		report(fmt.Sprintf("%s/exits/%s", m.name, f[2]), float64(counters()["exits"]-m.before)/m.ops, nil)
	}
}
