package main

import (
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
)

// longConfig is one element of xl list -l, and what create -n prints: the parts of libxl_domain_config that a
// gozen domain has. Fields at their default are left out, as libxl does.
type longConfig struct {
	Domid  *int       `json:"domid"`
	Config longDomain `json:"config"`
}

type longDomain struct {
	Create      longCreate    `json:"c_info"`
	Build       longBuild     `json:"b_info"`
	Disks       []longDisk    `json:"disks,omitempty"`
	NICs        []longNIC     `json:"nics,omitempty"`
	OnPoweroff  config.Action `json:"on_poweroff,omitempty"`
	OnReboot    config.Action `json:"on_reboot,omitempty"`
	OnWatchdog  config.Action `json:"on_watchdog,omitempty"`
	OnCrash     config.Action `json:"on_crash,omitempty"`
	OnSoftReset config.Action `json:"on_soft_reset,omitempty"`
	// Gozen is ours: what libxl's types have no place for.
	Gozen *longGozen `json:"gozen,omitempty"`
}

type longCreate struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	UUID  string `json:"uuid"`
	Domid *int   `json:"domid,omitempty"`
}

type longBuild struct {
	MaxVCPUs       int       `json:"max_vcpus"`
	AvailVCPUs     []int     `json:"avail_vcpus"`
	MaxMemKB       uint64    `json:"max_memkb"`
	TargetMemKB    uint64    `json:"target_memkb"`
	TSCMode        string    `json:"tsc_mode,omitempty"`
	MaxGrantFrames uint32    `json:"max_grant_frames,omitempty"`
	MaxMaptrack    uint32    `json:"max_maptrack_frames,omitempty"`
	EventChannels  uint32    `json:"event_channels,omitempty"`
	Kernel         string    `json:"kernel,omitempty"`
	Cmdline        string    `json:"cmdline,omitempty"`
	Ramdisk        string    `json:"ramdisk,omitempty"`
	Bootloader     string    `json:"bootloader,omitempty"`
	BootloaderArgs []string  `json:"bootloader_args,omitempty"`
	TypePV         *struct{} `json:"type.pv,omitempty"`
	TypePVH        *struct{} `json:"type.pvh,omitempty"`
	TypeHVM        *struct{} `json:"type.hvm,omitempty"`
}

// longDisk is the parts of libxl_device_disk.
type longDisk struct {
	Path      string `json:"pdev_path,omitempty"`
	Vdev      string `json:"vdev"`
	Format    string `json:"format"`
	Removable int    `json:"removable,omitempty"`
	ReadWrite int    `json:"readwrite,omitempty"`
	CDROM     int    `json:"is_cdrom,omitempty"`
}

// longNIC is the parts of libxl_device_nic; gozen has what that has no place for.
type longNIC struct {
	ID     int             `json:"devid"`
	MTU    int             `json:"mtu,omitempty"`
	MAC    string          `json:"mac"`
	IP     string          `json:"ip,omitempty"`
	Bridge string          `json:"bridge,omitempty"`
	Name   string          `json:"ifname,omitempty"`
	Type   string          `json:"nictype"`
	Bytes  int64           `json:"rate_bytes_per_interval,omitempty"`
	Micros int64           `json:"rate_interval_usecs,omitempty"`
	User   *config.UserNet `json:"gozen_user,omitempty"`
}

func longDevices(c *longDomain, d *config.Domain) {
	for _, k := range d.Disks {
		l := longDisk{Path: k.Path, Vdev: k.Vdev, Format: k.Format}
		switch {
		case k.Path == "":
			l.Format = "empty"
		case k.Format == "":
			l.Format = config.FormatRaw
		}
		if !k.ReadOnly {
			l.ReadWrite = 1
		}
		if k.CDROM {
			l.Removable, l.CDROM = 1, 1
		}
		c.Disks = append(c.Disks, l)
	}
	for _, n := range d.NICs {
		c.NICs = append(c.NICs, longNIC{ID: n.ID, MTU: n.MTU, MAC: n.MAC, IP: n.IP, Bridge: n.Bridge, Name: n.Name, Type: "vif", Bytes: n.RateBytes, Micros: n.RateEvery.Microseconds(), User: n.User})
	}
}

type longGozen struct {
	Engine        config.Engine `json:"engine,omitempty"`
	Deterministic bool          `json:"deterministic,omitempty"`
	Seed          uint64        `json:"seed,omitempty"`
	// MemoryBacking and MemoryPrealloc are as configured.
	MemoryBacking  config.Backing `json:"memory_backing,omitempty"`
	MemoryPrealloc bool           `json:"memory_prealloc,omitempty"`
	// RunsOn, RunsOnWhy, EventABI and Paths say what executes a running domain, and how the two reach each other.
	RunsOn    string         `json:"runs_on,omitempty"`
	RunsOnWhy string         `json:"runs_on_why,omitempty"`
	EventABI  string         `json:"event_abi,omitempty"`
	Paths     *control.Paths `json:"paths,omitempty"`
	// Sandbox says how a running domain's process is confined.
	Sandbox *control.Sandbox `json:"sandbox,omitempty"`
}

// longOf turns a configuration into libxl's shape; domid 0 means that there is no domain yet.
func longOf(d config.Domain, domid int) longConfig {
	out := longConfig{}
	if domid > 0 {
		out.Domid = &domid
	}
	c := &out.Config
	c.Create = longCreate{Type: string(d.Type), Name: d.Name, UUID: d.UUID, Domid: out.Domid}
	b := &c.Build
	b.MaxVCPUs, b.AvailVCPUs = d.MaxVCPUs, []int{}
	for i := range d.VCPUs {
		b.AvailVCPUs = append(b.AvailVCPUs, i)
	}
	b.MaxMemKB, b.TargetMemKB = d.MaxMemoryMiB<<10, d.MemoryMiB<<10
	b.TSCMode = []string{"", "always_emulate", "native", "native_paravirt"}[d.TSCMode&3]
	b.MaxGrantFrames, b.MaxMaptrack, b.EventChannels = d.MaxGrantFrames, d.MaxMaptrackFrames, d.MaxEventChannels
	b.Kernel, b.Cmdline, b.Ramdisk = d.Kernel, d.Cmdline, d.Ramdisk
	b.Bootloader, b.BootloaderArgs = d.Bootloader, d.BootloaderArgs
	longDevices(c, &d)
	switch d.Type {
	case config.PV:
		b.TypePV = &struct{}{}
	case config.PVH:
		b.TypePVH = &struct{}{}
	case config.HVM:
		b.TypeHVM = &struct{}{}
	}
	c.OnPoweroff, c.OnReboot, c.OnWatchdog = notDestroy(d.OnPoweroff), notDestroy(d.OnReboot), notDestroy(d.OnWatchdog)
	c.OnCrash, c.OnSoftReset = notDestroy(d.OnCrash), notDestroy(d.OnSoftReset)
	g := longGozen{Deterministic: d.Deterministic, Seed: d.Seed, MemoryPrealloc: d.MemoryPrealloc}
	if d.Engine != config.EngineAuto {
		g.Engine = d.Engine
	}
	if d.MemoryBacking != config.BackingAnon {
		g.MemoryBacking = d.MemoryBacking
	}
	if g != (longGozen{}) {
		c.Gozen = &g
	}
	return out
}

// notDestroy leaves out the action that libxl's type has as its zero value.
func notDestroy(a config.Action) config.Action {
	if a == config.Destroy {
		return ""
	}
	return a
}

// listLong prints the array of xl list -l. Domain-0 has hardly anything to say.
func (a *app) listLong(doms []control.Found) int {
	out := []any{}
	infos := gather(doms)
	for i, f := range doms {
		if f.Domid == 0 {
			in := infos[i]
			out = append(out, map[string]any{"domid": 0, "config": map[string]any{
				"c_info": map[string]any{"type": "pv", "name": dom0Name, "uuid": in.UUID},
				"b_info": map[string]any{"max_vcpus": in.MaxVCPUs, "max_memkb": in.MaxMemKiB, "target_memkb": in.MemoryKiB}}})
			continue
		}
		l := longOf(f.Config, f.Domid)
		if in := infos[i]; f.Sandbox != nil || in.Engine != "" {
			g := l.Config.Gozen
			if g == nil {
				g = &longGozen{}
				l.Config.Gozen = g
			}
			g.RunsOn, g.RunsOnWhy, g.EventABI, g.Paths, g.Sandbox = in.Engine, in.EngineWhy, in.EventABI, in.Paths, f.Sandbox
		}
		out = append(out, l)
	}
	return a.printJSON(out)
}
