package build

import (
	"errors"
	"fmt"
	"strings"

	"gozen/hypervisor/bootloader"
	"gozen/hypervisor/config"
	"gozen/hypervisor/image"
)

// chooseEntry reads the domain's first disk for what it starts, if the configuration says so. The process is confined by then.
func (m *Machine) chooseEntry() error {
	if m.cfg.Bootloader == "" {
		return nil
	}
	o, refusal := m.cfg.BootOptions()
	if refusal != nil {
		return refusal
	}
	d := m.disks[0]
	if d.image == nil {
		return &config.Error{Field: "bootloader", What: "the first disk is an empty CD-ROM drive", Fix: "name a disk with a system on it first"}
	}
	e, err := bootloader.Find(d.image, d.image.Size(), bootloader.Options(o))
	var known *config.Error
	if errors.As(err, &known) {
		return &config.Error{Field: known.Field, What: known.What, Why: strings.TrimPrefix(d.cfg.Path+": "+known.Why, ": "), Fix: known.Fix}
	}
	if err != nil {
		return &config.Error{Field: "bootloader", What: "nothing to start was found in " + d.cfg.Path, Why: err.Error(), Fix: "use kernel= instead of bootloader="}
	}
	m.entry, m.cfg.Cmdline = e, e.Cmdline
	if m.opts.Log != nil {
		m.opts.Log.Logf("boot %s", m.bootWords())
	}
	return nil
}

// bootWords tells what was chosen from the disk.
func (m *Machine) bootWords() string {
	e := m.entry
	if e == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%q", e.Title)
	if e.Config != "" {
		b.WriteString(" of " + e.Config)
	}
	b.WriteString(": " + e.Kernel.Path)
	for _, i := range e.Initrds {
		b.WriteString(", " + i.Path)
	}
	return b.String()
}

// kernel opens the kernel.
func (m *Machine) kernel() (*image.Kernel, error) {
	if e := m.entry; e != nil {
		return image.Open(e.Kernel.Path, e.Kernel, e.Kernel.Size)
	}
	f, err := m.open("kernel", m.cfg.Kernel)
	if err != nil {
		return nil, err
	}
	return image.FromFile(f)
}

// a64Kernel opens the kernel of an arm64 domain.
func (m *Machine) a64Kernel() (*image.A64Image, error) {
	if e := m.entry; e != nil {
		return image.OpenA64(e.Kernel.Path, e.Kernel, e.Kernel.Size)
	}
	f, err := m.open("kernel", m.cfg.Kernel)
	if err != nil {
		return nil, err
	}
	return image.A64FromFile(f)
}
