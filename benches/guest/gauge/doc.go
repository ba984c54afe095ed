// Package gauge makes the benchmark guest: a kernel of a few pages that measures what operations cost it and prints a line for
// each batch. The same workloads run in every mode (PVH, HVM, PV); a mode is an entry stub and a table of operations.
//
// Path: Image (spec.go) takes the mode's stub, run.go emits the run (heading, then each workload's batches), workload.go lists what
// there is and traps.go, walks.go, events.go, timers.go and io.go have it; prog.go and print.go are what they are written with;
// mode.go is the table of operations, pvh.go, hvm.go and pv.go fill it.
//
// Lines begin with "gauge: " (package result reads them):
//
//	gauge: hello 1 mode pvh
//	gauge: fact tsc-khz 001000000000
//	gauge: begin trap/ud2
//	gauge: batch trap/ud2 ops 00000256 ticks 000000012345
//	gauge: skip walk/1g this processor has no pages of 1 GiB
//	gauge: end
//
// On Xen they go to the PV console ring; without Xen to the first serial port and to port 0xe9, so that the image also runs on
// QEMU, where it leaves out what needs Xen.
package gauge
