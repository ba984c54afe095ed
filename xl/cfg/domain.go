package cfg

import (
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"gozen/hypervisor/config"
)

// Pos is a place in a configuration.
type Pos struct {
	File string
	Line int
}

// String gives FILE:LINE.
func (p Pos) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Result is what a configuration means.
type Result struct {
	Domain   config.Domain
	Warnings []string
	// Where gives the place of each key that was set.
	Where map[string]Pos
}

// At gives the place of a key for messages, such as "web.cfg:3 (kernel)", or "".
func (r *Result) At(key string) string {
	if p, ok := r.Where[key]; ok {
		return p.String() + " (" + key + ")"
	}
	return ""
}

// Domain turns settings into a completed and validated config.Domain. The error joins *config.Error values; Result is
// valid, as far as it goes, also with an error.
func (c *Config) Domain() (*Result, error) {
	b := &builder{cfg: c, res: &Result{Where: map[string]Pos{}}}
	for _, s := range c.Settings {
		b.res.Where[s.Key] = Pos{s.File, s.Line}
	}
	b.identity()
	b.boot()
	b.resources()
	b.actions()
	b.limits()
	b.disks()
	b.vifs()
	b.machine()
	b.classify()
	if b.res.Domain.MemoryMiB == 0 && b.res.Domain.MaxMemoryMiB == 0 {
		b.warn("memory is not given: the domain gets 32 MiB, as in Xen")
	}
	b.res.Domain.Complete()
	if err := b.res.Domain.Validate(); err != nil {
		for _, e := range config.Errors(err) {
			if !b.seen[e.Field] {
				b.errs = append(b.errs, e)
			}
		}
	}
	return b.res, errors.Join(b.errs...)
}

type builder struct {
	cfg  *Config
	res  *Result
	errs []error
	seen map[string]bool // fields with an error already
}

func (b *builder) warn(format string, args ...any) {
	b.res.Warnings = append(b.res.Warnings, fmt.Sprintf(format, args...))
}

func (b *builder) fail(e *config.Error) {
	if b.seen == nil {
		b.seen = map[string]bool{}
	}
	b.seen[e.Field] = true
	b.errs = append(b.errs, e)
}

// str gives a key's value if it is set to a single value.
func (b *builder) str(key string) (string, bool) {
	s := b.cfg.Find(key)
	if s == nil {
		return "", false
	}
	if s.Value.IsList {
		b.fail(&config.Error{Field: key, What: fmt.Sprintf("parameter `%s' is a list but should be a single value", key),
			Fix: "remove the brackets"})
		return "", false
	}
	return s.Value.Str, true
}

// num gives a key's value as a number, decimal, 0octal or 0xhex, in [lo, hi].
func (b *builder) num(key string, lo, hi int64) (int64, bool) {
	v, ok := b.str(key)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(v, 0, 64)
	if err != nil || strings.ContainsAny(v, "_obOB") && !strings.HasPrefix(v, "0x") {
		why := "it is not a number"
		if errors.Is(err, strconv.ErrRange) {
			why = "it is too large"
		}
		b.fail(&config.Error{Field: key, What: fmt.Sprintf("parameter `%s' is not a valid number: %q", key, v), Why: why,
			Fix: "write a decimal, 0octal or 0xhex number"})
		return 0, false
	}
	if n < lo || n > hi {
		b.fail(&config.Error{Field: key, What: fmt.Sprintf("parameter `%s' is out of range: %d", key, n),
			Fix: fmt.Sprintf("give a number from %d to %d", lo, hi)})
		return 0, false
	}
	return n, true
}

func (b *builder) flag(key string) (bool, bool) {
	n, ok := b.num(key, 0, 1)
	return n != 0, ok
}

func (b *builder) identity() {
	d := &b.res.Domain
	d.Name, _ = b.str("name")
	d.UUID, _ = b.str("uuid")
	if t, ok := b.str("type"); ok {
		d.Type = config.Type(t)
	} else if on, ok := b.flag("pvh"); ok && on {
		d.Type = config.PVH
		b.warn("pvh=1 is an old key: use type=\"pvh\"")
	}
	if v, ok := b.str("builder"); ok {
		t := config.PV
		switch v {
		case "hvm":
			t = config.HVM
		case "generic", "linux":
		default:
			b.fail(&config.Error{Field: "builder", What: fmt.Sprintf("Invalid domain type %s.", v), Fix: `use type = "pvh", "pv" or "hvm"`})
			return
		}
		switch {
		case d.Type == "":
			d.Type = t
			b.warn("builder=%q is an old key: use type=%q", v, t)
		case d.Type != t:
			b.fail(&config.Error{Field: "builder", What: `Contradicting "builder" and "type" options specified.`, Fix: "remove builder"})
		}
	}
}

func (b *builder) boot() {
	d := &b.res.Domain
	d.Kernel, _ = b.str("kernel")
	if d.Kernel != "" && filepath.Base(d.Kernel) == "hvmloader" {
		b.warn(`kernel=%q names Xen's firmware loader, which has no meaning here: ignored`, d.Kernel)
		d.Kernel = ""
	}
	d.Ramdisk, _ = b.str("ramdisk")
	cmdline, given := b.str("cmdline")
	root, hasRoot := b.str("root")
	extra, hasExtra := b.str("extra")
	switch {
	case given:
		if hasRoot || hasExtra {
			b.warn("Warning: ignoring root= and extra= in favour of cmdline=")
		}
	case hasRoot && hasExtra:
		cmdline = "root=" + root + " " + extra
	case hasRoot:
		cmdline = "root=" + root
	default:
		cmdline = extra
	}
	d.Cmdline = cmdline
	b.bootloader()
}

// bootloader takes what chooses from the domain's disk. As in libxl, HVM domains have none, and kernel and ramdisk become arguments: they name files in the disk.
func (b *builder) bootloader() {
	d := &b.res.Domain
	name, _ := b.str("bootloader")
	args := b.cfg.Find("bootloader_args")
	switch {
	case name == "":
		if args != nil && !off(args.Value) {
			b.warn("warning: bootloader_args without bootloader, ignored")
		}
		return
	case d.Type == config.HVM:
		b.warn("warning: an HVM domain has no bootloader=, ignored: its firmware starts what the disk has")
		return
	}
	d.Bootloader = name
	for _, f := range []struct {
		key string
		to  *string
	}{{"kernel", &d.Kernel}, {"ramdisk", &d.Ramdisk}} {
		if *f.to != "" {
			b.warn("%s= names a file in the domain's first disk, since there is bootloader=", f.key)
			d.BootloaderArgs = append(d.BootloaderArgs, "--"+f.key+"="+*f.to)
			*f.to = ""
		}
	}
	if args == nil {
		return
	}
	if !args.Value.IsList { // separated by blanks, as xl has it
		d.BootloaderArgs = append(d.BootloaderArgs, strings.Fields(args.Value.Str)...)
	}
	for _, v := range args.Value.List {
		d.BootloaderArgs = append(d.BootloaderArgs, v.Str)
	}
}

func (b *builder) resources() {
	d := &b.res.Domain
	if n, ok := b.num("memory", 0, 1<<40); ok {
		d.MemoryMiB = uint64(n)
	}
	if n, ok := b.num("maxmem", 0, 1<<40); ok {
		d.MaxMemoryMiB = uint64(n)
	}
	if n, ok := b.num("vcpus", 0, 1<<30); ok {
		d.VCPUs = max(1, int(n)) // xl makes one vCPU of vcpus=0
	} else {
		d.VCPUs = 1
	}
	if n, ok := b.num("maxvcpus", 0, 1<<30); ok {
		d.MaxVCPUs = int(n)
	}
	if v, ok := b.str("memory_backing"); ok {
		d.MemoryBacking = config.Backing(v)
	}
	d.MemoryPrealloc, _ = b.flag("memory_prealloc")
	if v, ok := b.str("engine"); ok {
		d.Engine = config.Engine(v)
	}
	d.Deterministic, _ = b.flag("deterministic")
	if on, ok := b.flag("sandbox"); ok {
		d.NoSandbox = !on
	}
	if n, ok := b.num("seed", 0, 1<<62); ok {
		d.Seed = uint64(n)
	}
}

func (b *builder) actions() {
	d := &b.res.Domain
	for _, a := range []struct {
		key string
		to  *config.Action
	}{{"on_poweroff", &d.OnPoweroff}, {"on_reboot", &d.OnReboot}, {"on_watchdog", &d.OnWatchdog},
		{"on_crash", &d.OnCrash}, {"on_soft_reset", &d.OnSoftReset}} {
		if v, ok := b.str(a.key); ok {
			*a.to = config.Action(v)
			if v == "" { // empty is not "not set"
				b.fail(config.CheckAction(a.key, ""))
			}
		}
	}
}

func (b *builder) limits() {
	d := &b.res.Domain
	b.tscMode()
	if s := b.cfg.Find("cpuid"); s != nil {
		if !s.Value.IsList {
			d.CPUID = []string{s.Value.Str}
		}
		for _, v := range s.Value.List {
			d.CPUID = append(d.CPUID, v.Str)
		}
	}
	for _, l := range []struct {
		key string
		to  *uint32
	}{{"max_event_channels", &d.MaxEventChannels}, {"max_grant_frames", &d.MaxGrantFrames},
		{"max_maptrack_frames", &d.MaxMaptrackFrames}, {"xenstore_feature_mask", &d.XenstoreFeatureOff}} {
		if n, ok := b.num(l.key, 0, 1<<32-1); ok {
			*l.to = uint32(n)
		}
	}
	if n, ok := b.num("max_grant_version", 0, 1<<30); ok {
		d.MaxGrantVersion = int(n)
	}
	if n, ok := b.num("rtc_timeoffset", -1<<40, 1<<40); ok {
		d.RTCOffset = n
	}
	d.LocalTime, _ = b.flag("localtime")
	d.NestedHVM, _ = b.flag("nestedhvm")
	d.DriverDomain, _ = b.flag("driver_domain")
	if on, ok := b.flag("acpi"); ok {
		d.NoACPI = !on
	}
}

// tscNames are in the order of config.TSCMode.
var tscNames = [...]string{"default", "always_emulate", "native", "native_paravirt"}

func (b *builder) tscMode() {
	v, ok := b.str("tsc_mode")
	if !ok {
		return
	}
	for i, n := range tscNames {
		if v == n {
			b.res.Domain.TSCMode = config.TSCMode(i)
			return
		}
	}
	n, err := strconv.ParseUint(v, 0, 8)
	if err != nil || n >= uint64(len(tscNames)) {
		b.fail(&config.Error{Field: "tsc_mode", What: fmt.Sprintf("ERROR: invalid value %q for \"tsc_mode\"", v),
			Fix: "use one of " + strings.Join(tscNames[:], ", ")})
		return
	}
	b.warn("WARNING: specifying \"tsc_mode\" as an integer is deprecated. Please use the named parameter variant. e.g. tsc_mode=%q", tscNames[n])
	b.res.Domain.TSCMode = config.TSCMode(n)
}

// classify warns of keys that are not obeyed, and refuses those that a guest would miss.
func (b *builder) classify() {
	known := keys()
	waiting, without := map[string]string{}, map[string]string{}
	for _, s := range b.cfg.Settings {
		at := fmt.Sprintf("%s (line %d)", s.Key, s.Line)
		switch known[s.Key] {
		case obeyed:
		case onlyHVM:
			if b.res.Domain.Type != config.HVM && !off(s.Value) {
				waiting[s.Key] = at
			}
		case later:
			if !off(s.Value) {
				waiting[s.Key] = at
			}
		case noop:
			if !off(s.Value) {
				without[s.Key] = at
			}
		case refused:
			if !off(s.Value) {
				b.fail(&config.Error{Field: s.Key, What: fmt.Sprintf("%s cannot be had here", s.Key),
					Why: "devices of the host cannot be passed through to a domain", Fix: "remove the key"})
			}
		default:
			msg := fmt.Sprintf("%s:%d: warning: unknown key %q ignored", s.File, s.Line, s.Key)
			if k := Suggest(s.Key); k != "" {
				msg += fmt.Sprintf(": did you mean %q?", k)
			}
			b.warn("%s", msg)
		}
	}
	if len(waiting) > 0 {
		b.warn("warning: not available yet, ignored: %s", joined(waiting))
	}
	if len(without) > 0 {
		b.warn("warning: without meaning here, ignored: %s", joined(without))
	}
}

// off says whether a value switches its key off, so that ignoring it loses nothing.
func off(v Value) bool {
	if v.IsList {
		return len(v.List) == 0
	}
	return v.Str == "" || v.Str == "0"
}

func joined(m map[string]string) string {
	var out []string
	for _, v := range m {
		out = append(out, v)
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}
