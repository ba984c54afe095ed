package cfg

import (
	"fmt"

	"gozen/hypervisor/config"
)

// machine reads what only HVM domains have.
func (b *builder) machine() {
	d := &b.res.Domain
	if d.Type != config.HVM {
		return
	}
	b.serial()
	if on, ok := b.flag("xen_platform_pci"); ok {
		d.NoPlatformPCI = !on
	}
	if on, ok := b.flag("hpet"); ok {
		d.NoHPET = !on
	}
	b.firmware()
}

// serial takes serial="pty", alone or in a list: the first serial port, with the domain's console at its other end.
func (b *builder) serial() {
	s := b.cfg.Find("serial")
	if s == nil {
		return
	}
	list := s.Value.List
	if !s.Value.IsList {
		list = []Value{s.Value}
	}
	for i, v := range list {
		switch {
		case v.Str == "none" || v.Str == "":
		case v.Str != "pty" || i > 0:
			why, fix := "only a pseudo-terminal can be at the other end", `use serial = "pty"`
			if i > 0 {
				why = "a domain has one serial port"
			}
			b.fail(&config.Error{Field: "serial", What: fmt.Sprintf("serial port %q cannot be had yet", v.Str), Why: why, Fix: fix})
			return
		default:
			b.res.Domain.Serial = true
		}
	}
}

func (b *builder) firmware() {
	d := &b.res.Domain
	if v, ok := b.str("bios"); ok && v != "seabios" {
		b.fail(&config.Error{Field: "bios", What: fmt.Sprintf("bios %q cannot be had yet", v), Why: "the only firmware is SeaBIOS", Fix: `use bios = "seabios"`})
	}
	d.Firmware, _ = b.str("bios_path_override")
	d.Boot, _ = b.str("boot")
}
