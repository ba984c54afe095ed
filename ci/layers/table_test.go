package layers

// ranks is the import table: a package imports only packages of lower rank, never its equals. Rows for packages that do not exist yet
// reserve their place.
var ranks = map[string]int{
	// Facts and plain data.
	"hypervisor/xen":                0,
	"hypervisor/x86":                0,
	"hypervisor/x86/softfloat":      0,
	"hypervisor/a64":                0,
	"hypervisor/guestmem":           0,
	"hypervisor/config":             0,
	"hypervisor/engine/soft/native": 0,

	// What needs only those.
	"hypervisor/x86/decode":          1,
	"hypervisor/x86/asm":             1,
	"hypervisor/x86/paging":          1,
	"hypervisor/engine":              1,
	"hypervisor/iobus":               1,
	"hypervisor/evtchn":              1,
	"hypervisor/gnttab":              1,
	"hypervisor/clock":               1,
	"hypervisor/ring":                1,
	"hypervisor/image":               1,
	"hypervisor/acpi":                1,
	"hypervisor/fdt":                 1,
	"hypervisor/disk":                1,
	"hypervisor/link":                1,
	"hypervisor/control":             1,
	"xl/cfg":                         1,
	"hypervisor/x86/cpuid":           2,
	"hypervisor/apic":                2,
	"hypervisor/xenstore":            2,
	"hypervisor/engine/kvm":          2,
	"hypervisor/engine/enginetest":   2,
	"hypervisor/control/process":     2,
	"hypervisor/control/controltest": 2,
	"hypervisor/engine/soft":         3,
	"hypervisor/engine/soft/fuzz":    4,
	"pvh":                            3,
	"hypervisor/pv":                  3,
	"hypervisor/pv/monitor":          3,
	"hypervisor/hvm":                 3,

	// A domain, and what acts on it.
	"hypervisor/domain":    4,
	"hypervisor/hypercall": 5,
	"hypervisor/backend":   5,
	"hypervisor/vcpu":      6,
	"hypervisor/snapshot":  6,
	"hypervisor/build":     7,

	// Programs.
	"hypervisor":      8,
	"xl":              8,
	"perfctl/measure": 3,
	"perfctl/report":  4,
	"perfctl":         8,

	// Guests, benchmarks, tests.
	"benches/guest/initramfs": 0,
	"benches/guest/linux":     1,
	"benches/guest/tiny":      2,
	"benches/guest/hello":     3,
	"benches/guest/abi":       3,
	"benches/cpu":             3,
	"benches/soft":            8,
	"benches/boot":            4,
	"benches/cpu/bench-cpu":   9,
	"benches/boot/bench-boot": 9,
	"benches/fuzzcpu":         9,
	"ci/kernels":              0,
	"ci/kernels/fetch":        9,
	"ci/demo":                 9,
	"ci/e2e":                  9,
	"ci/abi":                  9,
	"ci/fuzz":                 9,
	"ci/layers":               9,
}

// keptOut lists what must not be linked into a program, by prefix of the import path.
var keptOut = map[string][]string{
	// The domain process stays small and starts quickly; it has no command line to speak of and draws nothing.
	"hypervisor": {"github.com/spf13/", "github.com/olekukonko/", "golang.org/x/perf", "gvisor.dev/", "github.com/go-echarts/",
		"gonum.org/", "github.com/prometheus/", "github.com/vishvananda/", "golang.org/x/arch", "gozen/xl", "gozen/perfctl", "gozen/benches",
		"gozen/ci", "gozen/hypervisor/control/controltest", "testing"},
	// xl and perfctl talk to domains; they hold no machine.
	"xl": {"github.com/spf13/", "github.com/olekukonko/", "golang.org/x/perf", "gozen/hypervisor/build", "gozen/hypervisor/engine",
		"gozen/perfctl", "gozen/benches", "gozen/ci", "gozen/hypervisor/control/controltest", "testing"},
	"perfctl": {"gozen/hypervisor/build", "gozen/hypervisor/engine", "gozen/benches", "gozen/ci",
		"gozen/hypervisor/control/controltest", "testing"},
}
