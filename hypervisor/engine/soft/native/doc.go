// Package native executes instructions on the host's own processor, so that tests can compare the software CPU with it. It
// exists on linux/amd64 hosts only.
//
// What lives here: a fixed window of memory with room for code, data and a stack, and a trampoline that loads a register state, runs code and saves the
// state it left. What does not: faults. The code must run to its end, with exceptions masked, and touch no memory but
// the window.
//
// The path through it: Open maps the window and assembles the trampoline into it; Run copies code behind the trampoline's first half, calls
// it on a locked thread and copies the state out.
package native
