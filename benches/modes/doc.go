// Package modes has the targets of make bench-modes: what operations may cost in each mode, in counts, which are the same on every machine.
// Command bench-modes measures and judges.
package modes
