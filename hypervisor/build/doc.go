// Package build is the composition root: it turns a configuration and an engine into a domain ready to run, and wires
// every part by hand.
//
// What lives here: Machine (the domain as control sees it), the platform's ports, time sources, what happens at the end of a
// domain. What does not: how any part works.
//
// The path through it: New plans memory, makes memory and domain, loads the kernel, makes rings, xenstore and vCPUs, and gives back a
// paused Machine; the first Unpause starts vCPU 0.
//
// Lock order: Machine.mu before any lock of the parts.
package build
