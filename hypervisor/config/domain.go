package config

import "strings"

// Type is the kind of guest, named as xl.cfg's `type` key names it.
type Type string

// The guest types.
const (
	PV  Type = "pv"
	PVH Type = "pvh"
	HVM Type = "hvm"
)

// Action says what to do when a domain ends (xl.cfg(5), on_poweroff and its kind).
type Action string

// The actions of xl.cfg(5).
const (
	Destroy         Action = "destroy"
	Restart         Action = "restart"
	RenameRestart   Action = "rename-restart"
	Preserve        Action = "preserve"
	CoredumpDestroy Action = "coredump-destroy"
	CoredumpRestart Action = "coredump-restart"
	SoftReset       Action = "soft-reset"
)

// Actions lists every action in the order of xl.cfg(5).
func Actions() []Action {
	return []Action{Destroy, Restart, RenameRestart, Preserve, CoredumpDestroy, CoredumpRestart, SoftReset}
}

// TSCMode is xl.cfg's tsc_mode; the numbers are those of Xen's XEN_DOMCTL_set_tsc_info.
type TSCMode int

// The TSC modes.
const (
	TSCDefault        TSCMode = 0
	TSCAlwaysEmulate  TSCMode = 1
	TSCNative         TSCMode = 2
	TSCNativeParavirt TSCMode = 3 // xl calls it native_paravirt; Xen dropped its special meaning
)

// Engine names what executes the guest.
type Engine string

// The engines. Auto takes hardware KVM where there is one, else the software CPU.
const (
	EngineAuto Engine = "auto"
	EngineSoft Engine = "soft"
	EngineKVM  Engine = "kvm"
)

// Backing names what lies behind a guest's memory.
type Backing string

// The backings. Huge is the host's pool of 2 MiB pages.
const (
	BackingAnon Backing = "anon"
	BackingHuge Backing = "hugetlb"
)

// Domain is the configuration of one domain. The zero value of an optional field means Xen's default,
// which Complete fills in.
type Domain struct {
	Name string `json:"name"`
	UUID string `json:"uuid,omitempty"` // canonical lower-case text form
	Type Type   `json:"type"`

	Kernel  string `json:"kernel,omitempty"`  // absolute path
	Ramdisk string `json:"ramdisk,omitempty"` // absolute path
	Cmdline string `json:"cmdline,omitempty"`
	// Bootloader makes kernel, RAM disk and command line come from the first disk, by our own reader whatever its name; Cmdline is appended to what is found there.
	// See BootOptions.
	Bootloader     string   `json:"bootloader,omitempty"`
	BootloaderArgs []string `json:"bootloader_args,omitempty"`

	Disks []Disk `json:"disks,omitempty"` // PV disks; in an HVM domain those that have a Slot are IDE disks as well

	NICs []NIC `json:"nics,omitempty"`

	// What only an HVM domain has: Firmware is the path of a BIOS for one without kernel (empty: the host's SeaBIOS), Serial gives it a serial
	// port, which is then its console.
	Firmware      string `json:"firmware,omitempty"`
	Boot          string `json:"boot,omitempty"` // devices to start from in order: c is a disk, d a CD-ROM drive; empty is "cd"
	Serial        bool   `json:"serial,omitempty"`
	NoPlatformPCI bool   `json:"no_platform_pci,omitempty"` // xen_platform_pci=0
	NoHPET        bool   `json:"no_hpet,omitempty"`         // hpet=0

	MemoryMiB    uint64 `json:"memory_mib"`
	MaxMemoryMiB uint64 `json:"maxmem_mib,omitempty"`
	VCPUs        int    `json:"vcpus"`
	MaxVCPUs     int    `json:"maxvcpus,omitempty"`

	OnPoweroff  Action `json:"on_poweroff,omitempty"`
	OnReboot    Action `json:"on_reboot,omitempty"`
	OnWatchdog  Action `json:"on_watchdog,omitempty"`
	OnCrash     Action `json:"on_crash,omitempty"`
	OnSoftReset Action `json:"on_soft_reset,omitempty"`

	TSCMode TSCMode `json:"tsc_mode,omitempty"`
	// CPUID holds the policy strings of the `cpuid` key, unparsed: "host,..." or xend register strings.
	CPUID []string `json:"cpuid,omitempty"`

	MaxEventChannels   uint32 `json:"max_event_channels,omitempty"`
	MaxGrantFrames     uint32 `json:"max_grant_frames,omitempty"`
	MaxMaptrackFrames  uint32 `json:"max_maptrack_frames,omitempty"`
	MaxGrantVersion    int    `json:"max_grant_version,omitempty"`
	RTCOffset          int64  `json:"rtc_timeoffset,omitempty"` // seconds added to the host's wall clock
	LocalTime          bool   `json:"localtime,omitempty"`
	NestedHVM          bool   `json:"nestedhvm,omitempty"`
	NoACPI             bool   `json:"no_acpi,omitempty"` // acpi=0
	DriverDomain       bool   `json:"driver_domain,omitempty"`
	XenstoreFeatureOff uint32 `json:"xenstore_feature_mask,omitempty"` // 0: all features

	// Engine, Deterministic and Seed are ours: which CPU, and whether its time and the order of
	// its vCPUs come from instruction counts alone (soft engine only).
	Engine        Engine `json:"engine,omitempty"`
	Deterministic bool   `json:"deterministic,omitempty"`
	Seed          uint64 `json:"seed,omitempty"`
	// Interleaved runs all vCPUs on one thread, in the host's time: what hosts other than amd64 always do.
	Interleaved bool `json:"interleaved,omitempty"`
	// MemoryBacking says what lies behind the guest's memory; empty is anon. MemoryPrealloc takes all of it from the host at the start.
	MemoryBacking  Backing `json:"memory_backing,omitempty"`
	MemoryPrealloc bool    `json:"memory_prealloc,omitempty"`
	// NoSandbox leaves the domain's process unconfined (sandbox=0), to look for errors in it.
	NoSandbox bool `json:"no_sandbox,omitempty"`
}

// Disk is one disk image or block device, or an image in a CD-ROM drive, which is read-only.
type Disk struct {
	Path      string `json:"path"`             // empty for an empty CD-ROM drive
	Format    string `json:"format,omitempty"` // one of the Format words; empty for FormatRaw
	Vdev      string `json:"vdev"`             // as the guest is to see it; see Number
	ReadOnly  bool   `json:"read_only,omitempty"`
	CDROM     bool   `json:"cdrom,omitempty"`
	NoDiscard bool   `json:"no_discard,omitempty"`
}

// The formats of disk images (xl-disk-configuration(5)).
const (
	FormatRaw   = "raw"
	FormatQcow  = "qcow"
	FormatQcow2 = "qcow2"
	FormatVHD   = "vhd"
	FormatQED   = "qed"
)

// Served says that the image is read by a process beside the domain's, which knows its format.
func (d *Disk) Served() bool { return d.Format != "" && d.Format != FormatRaw }

// Slot gives the place of the disk on the IDE channels of an HVM domain: 0 and 1 on the first, 2 and 3 on the second; -1 if its name has none.
// xvda means the same as hda, as in Xen.
func (d *Disk) Slot() int {
	for _, p := range []string{"hd", "xvd"} {
		if c, ok := strings.CutPrefix(d.Vdev, p); ok && len(c) == 1 && c[0] >= 'a' && c[0] <= 'd' {
			return int(c[0] - 'a')
		}
	}
	return -1
}

// DefaultFirmware is where Debian's package seabios has the BIOS.
const DefaultFirmware = "/usr/share/seabios/bios-256k.bin"

// BIOS gives the path of the firmware that the domain starts with, "" if it starts without.
func (d *Domain) BIOS() string {
	switch {
	case d.Type != HVM || d.Kernel != "":
		return ""
	case d.Firmware != "":
		return d.Firmware
	}
	return DefaultFirmware
}

// ActionFor gives the action configured for an end with the given reason word (poweroff, reboot, watchdog, crash,
// soft-reset); anything else is destroyed.
func (d *Domain) ActionFor(reason string) Action {
	a := Destroy
	switch reason {
	case "poweroff":
		a = d.OnPoweroff
	case "reboot":
		a = d.OnReboot
	case "watchdog":
		a = d.OnWatchdog
	case "crash":
		a = d.OnCrash
	case "soft-reset":
		a = d.OnSoftReset
	}
	if a == "" {
		return Destroy
	}
	return a
}
