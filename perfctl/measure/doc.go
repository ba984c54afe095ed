// Package measure boots domains and collects what it cost them: milestones with time and CPU, guest instructions, exits
// and hypercalls by exact cause.
//
// Path: Boot launches bin/hypervisor with the domain paused, opens the console, lets it run and watches for the line that tells of
// the guest's init; the counters come from the domain process (control.Stats). The domain is kept after its end until they are
// read, and is always destroyed. What lives elsewhere: how it is shown (perfctl/report).
package measure
