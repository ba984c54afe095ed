package config

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of Xen's public interface and of xl.
const (
	MaxVCPUsHVM         = 128     // HVM_MAX_VCPUS, public/hvm/hvm_info_table.h
	MaxVCPUsPV          = 8192    // MAX_VIRT_CPUS on x86-64 is 8192
	MaxEventChannelsCap = 1 << 17 // EVTCHN_FIFO_NR_CHANNELS, public/event_channel.h
	MaxNameLen          = 255
	maxTextLen          = 64 << 10
	maxMemoryMiB        = 16 << 20 // 16 TiB
)

// Complete fills in the defaults that xl and libxl would: type pv, 32 MiB, one vCPU, the on_* actions,
// 1023 event channels, a random uuid.
func (d *Domain) Complete() {
	if d.Type == "" {
		d.Type = PV
	}
	if d.UUID == "" {
		d.UUID = NewUUID()
	}
	d.UUID = strings.ToLower(d.UUID)
	for i := range d.NICs {
		d.NICs[i].Complete(d.Name)
	}
	if d.MemoryMiB == 0 {
		d.MemoryMiB = d.MaxMemoryMiB
	}
	if d.MemoryMiB == 0 {
		d.MemoryMiB = 32
	}
	if d.MaxMemoryMiB == 0 {
		d.MaxMemoryMiB = d.MemoryMiB
	}
	if d.VCPUs == 0 {
		d.VCPUs = max(1, d.MaxVCPUs)
	}
	if d.MaxVCPUs == 0 {
		d.MaxVCPUs = d.VCPUs
	}
	if d.Engine == "" {
		d.Engine = EngineAuto
	}
	if d.MaxEventChannels == 0 {
		d.MaxEventChannels = 1023
	}
	if d.MaxGrantFrames == 0 {
		d.MaxGrantFrames = 64
	}
	if d.MaxMaptrackFrames == 0 {
		d.MaxMaptrackFrames = 1024
	}
	if d.MaxGrantVersion == 0 {
		d.MaxGrantVersion = 2
	}
	def(&d.OnPoweroff, Destroy)
	def(&d.OnReboot, Restart)
	def(&d.OnWatchdog, Destroy)
	def(&d.OnCrash, Destroy)
	def(&d.OnSoftReset, SoftReset)
}

func def(a *Action, v Action) {
	if *a == "" {
		*a = v
	}
}

// Validate checks a completed Domain and gives every refusal, joined; each is an *Error.
func (d *Domain) Validate() error {
	var errs []error
	add := func(e *Error) {
		if e != nil {
			errs = append(errs, e)
		}
	}
	add(CheckName(d.Name))
	add(d.checkIdentity())
	add(d.checkBoot())
	add(d.checkBootloader())
	add(d.checkDisks())
	add(d.checkNICs())
	add(d.checkMemory())
	add(d.checkVCPUs())
	for _, a := range []struct {
		field string
		v     Action
	}{{"on_poweroff", d.OnPoweroff}, {"on_reboot", d.OnReboot}, {"on_watchdog", d.OnWatchdog},
		{"on_crash", d.OnCrash}, {"on_soft_reset", d.OnSoftReset}} {
		add(CheckAction(a.field, a.v))
	}
	add(d.checkLimits())
	add(d.checkEngine())
	return errors.Join(errs...)
}

// Errors gives the *Error values inside err, in order, however they were joined or wrapped.
func Errors(err error) []*Error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []*Error
		for _, e := range j.Unwrap() {
			out = append(out, Errors(e)...)
		}
		return out
	}
	var e *Error
	if errors.As(err, &e) {
		return []*Error{e}
	}
	return []*Error{{What: err.Error()}}
}

// CheckName says whether a domain may have this name: 1 to 255 bytes of UTF-8 without control characters or
// a slash, since the name is part of xenstore values and of log file names.
func CheckName(name string) *Error {
	e := &Error{Field: "name", What: fmt.Sprintf("domain name %q cannot be used", name)}
	switch {
	case name == "":
		return &Error{Field: "name", What: "Domain name must be specified.", Fix: `add a line such as name = "guest1"`}
	case len(name) > MaxNameLen:
		e.Why = fmt.Sprintf("it has %d bytes, at most %d are allowed", len(name), MaxNameLen)
	case !utf8.ValidString(name):
		e.Why = "it is not UTF-8"
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' }):
		e.Why = "it has a control character or a slash"
	case name == "." || name == "..":
		e.Why = "it is reserved by file systems"
	case name == "Domain-0":
		e.Why = "Domain-0 is the host"
	default:
		return nil
	}
	e.Fix = "choose another name"
	return e
}

// CheckAction says whether a is one of Actions; the text is xl's.
func CheckAction(field string, a Action) *Error {
	for _, k := range Actions() {
		if a == k {
			return nil
		}
	}
	names := make([]string, 0, len(Actions()))
	for _, k := range Actions() {
		names = append(names, string(k))
	}
	return &Error{Field: field, What: fmt.Sprintf("Unknown %s action %q specified", field, a),
		Fix: "use one of " + strings.Join(names, ", ")}
}

func (d *Domain) checkIdentity() *Error {
	switch d.Type {
	case PV, PVH, HVM:
	default:
		return &Error{Field: "type", What: fmt.Sprintf("Invalid domain type %s.", d.Type), Fix: `use "pvh", "pv" or "hvm"`}
	}
	if !ValidUUID(d.UUID) {
		return &Error{Field: "uuid", What: fmt.Sprintf("Failed to parse UUID: %s", d.UUID),
			Why: "a UUID is 32 hexadecimal digits in the groups 8-4-4-4-12", Fix: "leave the key out to get a random one"}
	}
	return nil
}

func (d *Domain) checkBoot() *Error {
	if d.Kernel == "" && d.Bootloader == "" && d.Type != HVM {
		return &Error{Field: "kernel", What: "Neither kernel nor bootloader specified",
			Fix: `add a line such as kernel = "/boot/vmlinuz"`}
	}
	for _, t := range []struct{ field, v string }{{"kernel", d.Kernel}, {"ramdisk", d.Ramdisk}, {"cmdline", d.Cmdline}} {
		if strings.IndexByte(t.v, 0) >= 0 {
			return &Error{Field: t.field, What: t.field + " holds a NUL byte", Fix: "remove it"}
		}
		if len(t.v) > maxTextLen {
			return &Error{Field: t.field, What: fmt.Sprintf("%s has %d bytes", t.field, len(t.v)),
				Why: fmt.Sprintf("at most %d are passed to a guest", maxTextLen), Fix: "shorten it"}
		}
	}
	return nil
}

func (d *Domain) checkDisks() *Error {
	if len(d.Boot) > 2 || strings.Trim(d.Boot, "cd") != "" {
		return &Error{Field: "boot", What: fmt.Sprintf("boot order %q cannot be had", d.Boot), Why: "a domain starts from a disk (c) or from a CD-ROM drive (d)",
			Fix: `use "c", "d", "cd" or "dc"`}
	}
	taken := map[int]string{}
	for _, k := range d.Disks {
		if e := k.Check(); e != nil {
			return e
		}
		n, _ := k.Number()
		if taken[n] != "" {
			return &Error{Field: "disk", What: fmt.Sprintf("disks %s and %s have one place", taken[n], k.Vdev), Fix: "give each a name of its own, as xvda, xvdb"}
		}
		taken[n] = k.Vdev
	}
	for _, k := range d.Disks {
		if k.Path == "" && (d.Type != HVM || k.Slot() < 0) {
			return &Error{Field: "disk", What: fmt.Sprintf("drive %s has no file", k.Vdev), Why: "a drive that may be empty is an IDE drive of an HVM domain", Fix: "give it a target, or name it hda to hdd in an HVM domain"}
		}
	}
	if d.Type != HVM {
		return nil
	}
	var places [4]string
	for _, k := range d.Disks {
		if n := k.Slot(); n >= 0 && places[n] != "" {
			return &Error{Field: "disk", What: fmt.Sprintf("disks %s and %s have one place", places[n], k.Vdev), Why: "xvda means the same as hda in an HVM domain",
				Fix: "give each a letter of its own"}
		} else if n >= 0 {
			places[n] = k.Vdev
		}
	}
	return nil
}

// Check says what is wrong with the disk by itself, nil if nothing is.
func (d *Disk) Check() *Error {
	if d.Path == "" && !d.CDROM {
		return &Error{Field: "disk", What: fmt.Sprintf("disk %s has no file", d.Vdev), Fix: "give it a target; only a CD-ROM drive (devtype=cdrom) may be empty"}
	}
	switch d.Format {
	case "", FormatRaw, FormatQcow, FormatQcow2, FormatVHD, FormatQED:
	default:
		return &Error{Field: "disk", What: fmt.Sprintf("disk %s has the unknown format %q", d.Vdev, d.Format), Fix: "use raw, qcow2, qcow, vhd or qed"}
	}
	if _, ok := d.Number(); !ok {
		return &Error{Field: "disk", What: fmt.Sprintf("disk %q cannot be had", d.Vdev), Why: "it is not the name of a disk", Fix: "use xvda to xvdz, hda to hdd or sda to sdp"}
	}
	return nil
}

// Refused says why the host does not give the domain the disk.
func (d *Disk) Refused(why error) *Error {
	e := &Error{Field: "disk", What: fmt.Sprintf("disk %s cannot be had", d.Vdev), Why: why.Error(), Fix: "give it a file or a block device that you may use and nobody else uses"}
	if d.Served() {
		e.Fix = fmt.Sprintf("check that it is a %s image that nobody else uses (qemu-img info), and that qemu-nbd is there (Debian's package qemu-utils)", d.Format)
	}
	return e
}

func (d *Domain) checkMemory() *Error {
	if d.MemoryMiB > maxMemoryMiB || d.MaxMemoryMiB > maxMemoryMiB {
		return &Error{Field: "memory", What: fmt.Sprintf("memory of %d MiB is too much", max(d.MemoryMiB, d.MaxMemoryMiB)),
			Why: fmt.Sprintf("a domain has at most %d MiB", maxMemoryMiB), Fix: "memory and maxmem count MiB: give a smaller number"}
	}
	switch d.MemoryBacking {
	case "", BackingAnon, BackingHuge:
	default:
		return &Error{Field: "memory_backing", What: fmt.Sprintf("unknown memory_backing %q", d.MemoryBacking), Fix: `use "anon" or "hugetlb"`}
	}
	if d.MaxMemoryMiB < d.MemoryMiB {
		return &Error{Field: "maxmem", What: fmt.Sprintf("maxmem (%d MiB) is less than memory (%d MiB)", d.MaxMemoryMiB, d.MemoryMiB),
			Fix: "raise maxmem, or leave it out"}
	}
	return nil
}

func (d *Domain) checkVCPUs() *Error {
	limit := MaxVCPUsHVM
	if d.Type == PV {
		limit = MaxVCPUsPV
	}
	switch {
	case d.VCPUs < 0 || d.MaxVCPUs < 0:
		return &Error{Field: "vcpus", What: "a negative number of vcpus", Fix: "give a number from 1"}
	case d.VCPUs > limit || d.MaxVCPUs > limit:
		f := "vcpus"
		if d.VCPUs <= limit {
			f = "maxvcpus"
		}
		return &Error{Field: f, What: fmt.Sprintf("%s = %d is too many", f, max(d.VCPUs, d.MaxVCPUs)),
			Why: fmt.Sprintf("a %s domain has at most %d", d.Type, limit), Fix: fmt.Sprintf("give a number from 1 to %d", limit)}
	case d.MaxVCPUs < d.VCPUs:
		return &Error{Field: "maxvcpus", What: fmt.Sprintf("maxvcpus (%d) < vcpus (%d)", d.MaxVCPUs, d.VCPUs),
			Fix: "raise maxvcpus, or leave it out"}
	}
	return nil
}

func (d *Domain) checkLimits() *Error {
	if d.TSCMode < TSCDefault || d.TSCMode > TSCNativeParavirt {
		return &Error{Field: "tsc_mode", What: fmt.Sprintf("unknown tsc_mode %d", d.TSCMode),
			Fix: `use "default", "always_emulate", "native" or "native_paravirt"`}
	}
	if d.MaxEventChannels < 6 || d.MaxEventChannels > MaxEventChannelsCap {
		return &Error{Field: "max_event_channels", What: fmt.Sprintf("max_event_channels = %d is out of range", d.MaxEventChannels),
			Why: "a guest needs a handful and Xen's FIFO ABI has 131072", Fix: "give a number from 6 to 131072"}
	}
	if d.MaxGrantFrames > 1<<16 {
		return &Error{Field: "max_grant_frames", What: fmt.Sprintf("max_grant_frames = %d is out of range", d.MaxGrantFrames),
			Fix: "give a number from 1 to 65536"}
	}
	if d.MaxGrantVersion < 1 || d.MaxGrantVersion > 2 {
		return &Error{Field: "max_grant_version", What: fmt.Sprintf("max_grant_version = %d does not exist", d.MaxGrantVersion),
			Fix: "use 1 or 2"}
	}
	return nil
}

func (d *Domain) checkEngine() *Error {
	switch d.Engine {
	case EngineAuto, EngineSoft, EngineKVM:
	default:
		return &Error{Field: "engine", What: fmt.Sprintf("unknown engine %q", d.Engine), Fix: `use "auto", "soft" or "kvm"`}
	}
	if d.Deterministic && d.Engine == EngineKVM {
		return &Error{Field: "deterministic", What: "deterministic mode is not possible with engine = \"kvm\"",
			Why: "only the software CPU counts instructions exactly", Fix: `use engine = "soft"`}
	}
	return nil
}

// ValidUUID says whether s has the canonical text form, 8-4-4-4-12 hexadecimal digits.
func ValidUUID(s string) bool {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	return err == nil && len(b) == 16
}

// NewUUID gives a random UUID (RFC 9562, version 4).
func NewUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
