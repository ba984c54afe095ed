// Package enginetest is the conformance suite of execution engines: what engine.VM and engine.VCPU promise, and
// what the architecture promises its guests, tried by guests of a page.
//
// Path: Run -> each case of cases.go on a fresh machine (machine.go) -> report. Compare runs the same programs on two engines and
// compares what they leave. An engine's test calls both beside its code; a case that an engine or a host cannot
// pass is named in Options with the reason, counted, and must really fail: the list cannot grow stale.
//
// Facts are from Intel's SDM and AMD's APM, named where they are used. Nothing here knows an engine.
package enginetest
