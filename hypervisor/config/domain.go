package config

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

// Domain is the configuration of one domain. The zero value of an optional field means Xen's default,
// which Complete fills in.
type Domain struct {
	Name string `json:"name"`
	UUID string `json:"uuid,omitempty"` // canonical lower-case text form
	Type Type   `json:"type"`

	Kernel  string `json:"kernel,omitempty"`  // absolute path
	Ramdisk string `json:"ramdisk,omitempty"` // absolute path
	Cmdline string `json:"cmdline,omitempty"`

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
