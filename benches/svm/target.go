package svm

import (
	"fmt"
	"slices"
)

// A Target is a limit for what is measured.
type Target struct {
	Name  string
	Limit float64
	Unit  string // printed behind the figure
	Hosts []string
	value func(Figures) (float64, bool)
}

// The names of the emulated hosts, by their kernels.
const (
	Host61  = "6.1"
	Host612 = "6.12"
)

// Hosts lists the emulated hosts.
func Hosts() []string { return []string{Host61, Host612} }

// Targets lists what bench-svm holds gozen to.
func Targets() []Target {
	ts := []Target{
		plain("boot", Host61, "gozen/boot-ms", 1400, "ms"),
		plain("own-exits", Host61, "gozen/own-exits", 1000, "exits"),
		plain("own-exits-on-6.12", Host612, "gozen/own-exits", 1000, "exits"),
		plain("user-exits", Host61, "gozen/user-exits", 700, "exits"),
		plain("user-exits-on-6.12", Host612, "gozen/user-exits", 350, "exits"),
		ratio("port-exit", Host61, "gozen/port-exit-ns", "c/port-exit-ns", 1.03, "times C's"),
		ratio("port-exit-on-6.12", Host612, "gozen/port-exit-ns", "c/port-exit-ns", 1.03, "times C's"),
		plain("memory", Host61, "gozen/memory-mib", 8, "MiB"),
		plain("memory-on-6.12", Host612, "gozen/memory-mib", 8, "MiB"),
		plain("gc-pause", Host61, "gozen/gc-pause-ms", 0.5, "ms"),
		plain("gc-pause-on-6.12", Host612, "gozen/gc-pause-ms", 0.5, "ms"),
	}
	for _, o := range Operations() {
		if o.Limit > 0 {
			ts = append(ts, ratio(o.Name, Host61, "gozen/op/"+o.Name, "bare/op/"+o.Name, o.Limit, bareUnit))
		}
	}
	return append(ts,
		ratio("clock-xen", Host61, "gozen/op/"+ClockOp, "bare/op/"+ClockOp, 1.40, bareUnit),
		ratio("clock-native", Host612, "gozen-native/op/"+ClockOp, "bare/op/"+ClockOp, 1.05, bareUnit))
}

// ModeTargets lists what bench-svm -modes holds PV, PVH and HVM guests to. What an operation costs in a PV guest is what real Xen 4.17 takes in the same
// rig, in instructions.
func ModeTargets() []Target {
	var ts []Target
	for _, o := range []struct {
		name string
		xen  float64
	}{{"getpid", 980}, {"write_null", 1253}, {"mprotect16x2", 71487}, {"fork_exit_wait", 899360}, {"mmap_touch16", 371498}} {
		ts = append(ts, plain("pv-"+o.name, Host61, "gozen-pv/op/"+o.name, o.xen, "instructions"),
			ratio("pvh-"+o.name, Host61, "gozen/op/"+o.name, "bare/op/"+o.name, 1.02, bareUnit))
	}
	return append(ts, plain("pv-boot", Host61, "gozen-pv/boot-ms", 2100, "ms"), plain("pvh-boot", Host61, "gozen/boot-ms", 1400, "ms"),
		ratio("hvm-boot", Host61, "gozen-hvm/boot-ms", "qemu-pc/boot-ms", 1, "times QEMU's"))
}

// DeviceOps are what the program for devices measures, and what each of its figures is about.
func DeviceOps() []Operation {
	return []Operation{{"read_4k", 1}, {"write_4k", 1}, {"read_4k_x32", 1}, {"write_4k_x32", 1}, {"read_mib", 1}, {"write_mib", 1}, {"tcp_send_mib", 1}, {"tcp_receive_mib", 1}, {"tcp_ping", 0}}
}

// DeviceTargets lists what bench-svm -devices holds gozen to: no operation takes longer than with QEMU's microvm and virtio.
func DeviceTargets() []Target {
	var ts []Target
	for _, o := range DeviceOps() {
		if o.Limit > 0 {
			ts = append(ts, ratio(o.Name, Host61, "gozen/op/"+o.Name, "qemu/op/"+o.Name, o.Limit, "times QEMU's time"))
		}
	}
	return append(ts, plain("exits-read-x32", Host61, "gozen/exits/read_4k_x32", 0.2, "exits an operation"),
		plain("exits-write-x32", Host61, "gozen/exits/write_4k_x32", 0.2, "exits an operation"))
}

const bareUnit = "times the bare kernel's"

// ClockOp is the operation that reads the clock. Its limit depends on the guest.
const ClockOp = "clock_gettime"

// An Operation is one of those that the guest program measures.
type Operation struct {
	Name  string
	Limit float64 // against the bare kernel; 0: none, or one of its own
}

// Operations lists them in the order of the guest program.
func Operations() []Operation {
	return []Operation{{"getpid", 1.02}, {"write_null", 1.02}, {ClockOp, 0}, {"mmap_touch16", 1.02}, {"mprotect16x2", 0}, {"pipe_pingpong", 1.02},
		{"fork_exit_wait", 0}, {"fork_exec_wait", 1.05}}
}

func plain(name, host, figure string, limit float64, unit string) Target {
	return Target{Name: name, Limit: limit, Unit: unit, Hosts: []string{host},
		value: func(fs Figures) (float64, bool) { return fs.Value(host + "/" + figure) }}
}

func ratio(name, host, of, to string, limit float64, unit string) Target {
	return Target{Name: name, Limit: limit, Unit: unit, Hosts: []string{host},
		value: func(fs Figures) (float64, bool) { return fs.Ratio(host+"/"+of, host+"/"+to) }}
}

// For tells whether a target is measured where only these hosts run.
func (t Target) For(hosts []string) bool {
	return !slices.ContainsFunc(t.Hosts, func(h string) bool { return !slices.Contains(hosts, h) })
}

// Judge gives the target's line. What was not measured is missed.
func (t Target) Judge(fs Figures) (line string, ok bool) {
	v, measured := t.value(fs)
	if !measured {
		return fmt.Sprintf("target svm-%s none: not measured (limit %s) MISSED", t.Name, number(t.Limit)), false
	}
	verdict := "ok"
	if ok = v <= t.Limit; !ok {
		verdict = "MISSED"
	}
	return fmt.Sprintf("target svm-%s %s %s (limit %s) %s", t.Name, exact(v), t.Unit, number(t.Limit), verdict), ok
}

// number prints a value with as many digits as say something.
func number(v float64) string {
	switch {
	case v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// exact prints a value that is held against a limit: with a digit more, so that what is just above does not look like the limit itself.
func exact(v float64) string {
	if v == float64(int64(v)) {
		return fmt.Sprintf("%.0f", v)
	}
	if v >= 100 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
