// Package measure boots domains and collects what it cost them: milestones with time and CPU, guest instructions, exits
// and hypercalls by exact cause; and it measures operations in benchmark guests, mode beside mode.
//
// Path: Boot launches bin/hypervisor with the domain paused, opens the console, lets it run and watches for the line that tells of
// the guest's init; the counters come from the domain process (control.Stats). The domain is kept after its end until they are
// read, and is always destroyed. Suite (suite.go) boots one benchmark guest after the other (gauge.go) and makes samples and counts of what they print
// and cost (samples.go); linux.go does so with a Linux guest, devices.go and network.go have its disk and its network; catalogue.go has the workloads by name, environment.go where it all happens. What lives elsewhere: the guests (benches/guest/gauge,
// benches/guest/vehicle), statistics (perfctl/result), how it is shown (perfctl/report).
package measure
