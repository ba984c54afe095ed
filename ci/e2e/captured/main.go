// Command captured is a domain process that an attacker has taken over: the real one, with machines that do what the
// name of their domain says. The tests start it in place of bin/hypervisor.
package main

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/build"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/control/process"
)

// deeds are what a domain can be named for; "early-" before it has them done while the domain is built.
var deeds = map[string]func() error{
	"execve": func() error { return unix.Exec("/bin/sh", []string{"sh"}, nil) },
	"socket": func() error { _, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); return err },
	"mprotect": func() error {
		p, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return err
		}
		return unix.Mprotect(p, unix.PROT_READ|unix.PROT_EXEC)
	},
}

func main() {
	os.Exit(process.Main(os.Args[1:], "captured", newMachine, nil))
}

func newMachine(cfg config.Domain, opts control.Options) (control.Machine, error) {
	if f := deeds[strings.TrimPrefix(cfg.Name, "early-")]; f != nil && strings.HasPrefix(cfg.Name, "early-") {
		if err := f(); err != nil {
			return nil, err
		}
	}
	m, err := build.New(cfg, opts)
	if err != nil {
		return nil, err
	}
	return machine{m, opts}, nil
}

type machine struct {
	*build.Machine
	opts control.Options
}

// Renamed does the deed that the domain is renamed to.
func (m machine) Renamed(name string) {
	m.Machine.Renamed(name)
	if f := deeds[name]; f != nil {
		go func() {
			time.Sleep(100 * time.Millisecond) // xl rename has its answer by then
			if err := f(); err != nil {
				m.opts.Log.Logf("captured: %s: %v", name, err)
			}
		}()
	}
}
