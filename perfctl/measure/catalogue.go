package measure

import (
	"fmt"
	"slices"
	"strings"

	"gozen/benches/guest/gauge"
	"gozen/benches/guest/vehicle"
)

// AreaBoot is the area of what is measured from outside while a guest starts and ends.
const AreaBoot = "boot"

// Areas of what a Linux kernel's first process measures.
const (
	AreaLinux = "Linux guest"
	AreaBlock = "disk of a Linux guest"
	AreaNet   = "network of a Linux guest"
)

// ModeIDE is an HVM guest that has its disk at the emulated IDE controller, and no PV drivers. It is for workloads on a disk only.
const ModeIDE = "hvm-ide"

// Modes lists the modes.
func Modes() []string { return append(gauge.Modes(), ModeIDE) }

// typeOf gives the type of the domains of a mode.
func typeOf(mode string) string {
	if mode == ModeIDE {
		return "hvm"
	}
	return mode
}

// Item is one workload of the catalogue.
type Item struct {
	Name, Area, Meaning string
	Quick               bool // in the quick set
	Linux               bool // needs Suite.Kernel
	Needs               vehicle.Need
	vcpus               int // that the guest needs
	ops                 int // of a batch; 0: measured from outside
}

// The workloads that are measured from outside.
const (
	bootBuild    = "boot/build"
	bootEntry    = "boot/entry"
	bootConsole  = "boot/console"
	bootShutdown = "boot/shutdown"
)

// slow are the workloads that the quick set leaves out.
var slow = []string{"syscall/int80", "trap/int3", "msr/write", "walk/hit", "pt/flush", "hypercall/multicall8", "evtchn/mask", "clock/read", "timer/set",
	"block/write-4k", "block/write-1m", "net/receive"}

// Catalogue lists all workloads in the order in which they are shown.
func Catalogue() []Item {
	all := []Item{
		{Name: bootBuild, Area: AreaBoot, Meaning: "from the command until memory, kernel and devices are in place", Quick: true},
		{Name: bootEntry, Area: AreaBoot, Meaning: "from there until the first vCPU starts", Quick: true},
		{Name: bootConsole, Area: AreaBoot, Meaning: "from there until the first byte of the guest has arrived", Quick: true},
		{Name: bootShutdown, Area: AreaBoot, Meaning: "from the first vCPU's start until a guest that only says hello has ended", Quick: true},
	}
	for _, w := range gauge.List() {
		all = append(all, Item{Name: w.Name, Area: w.Area, Meaning: w.Meaning, Quick: !slices.Contains(slow, w.Name), vcpus: w.VCPUs, ops: w.Ops})
	}
	for _, o := range vehicle.List() {
		area := map[vehicle.Need]string{vehicle.Nothing: AreaLinux, vehicle.Disk: AreaBlock, vehicle.Net: AreaNet}[o.Needs]
		all = append(all, Item{Name: o.Name, Area: area, Meaning: o.Meaning, Linux: true, Needs: o.Needs, Quick: !slices.Contains(slow, o.Name), vcpus: 1, ops: o.Ops})
	}
	return all
}

// Choose gives the workloads of these names, or of the areas whose names begin so ("walk/"); none means all, or the quick set. Those of a Linux guest
// are only chosen if there is a kernel for it.
func Choose(names []string, quick, kernel bool) ([]Item, error) {
	all := Catalogue()
	if len(names) == 0 {
		return slices.DeleteFunc(all, func(i Item) bool { return quick && !i.Quick || i.Linux && !kernel }), nil
	}
	for _, n := range names {
		if !slices.ContainsFunc(all, func(i Item) bool { return i.is(n) }) {
			return nil, unknown(n, all)
		}
	}
	chosen := slices.DeleteFunc(all, func(i Item) bool { return !slices.ContainsFunc(names, i.is) })
	if i := slices.IndexFunc(chosen, func(i Item) bool { return i.Linux }); i >= 0 && !kernel {
		return nil, fmt.Errorf("%s needs a Linux kernel: --kernel FILE", chosen[i].Name)
	}
	return chosen, nil
}

// in tells whether a mode is meant for the workload at all.
func (i Item) in(mode string) bool { return mode != ModeIDE || i.Needs == vehicle.Disk }

// is tells whether a name means the workload: its own, or the part in front of the slash.
func (i Item) is(name string) bool {
	group, _, _ := strings.Cut(i.Name, "/")
	return name == i.Name || strings.TrimSuffix(name, "/") == group
}

// unknown is the error for a name that nothing has, with the nearest one.
func unknown(name string, all []Item) error {
	best, at := 1+len(name)/2, ""
	for _, i := range all {
		group, _, _ := strings.Cut(i.Name, "/")
		for _, n := range []string{i.Name, group} {
			if d := distance(name, n); d < best {
				best, at = d, n
			}
		}
	}
	if at == "" {
		return fmt.Errorf("no workload %q; perfctl list shows them", name)
	}
	return fmt.Errorf("no workload %q; did you mean %q? (perfctl list shows all)", name, at)
}

// distance is how many letters have to be put in, taken out or changed to make a from b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
