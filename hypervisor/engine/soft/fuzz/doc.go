// Package fuzz compares the software CPU with a real processor on random user-mode code.
//
// What lives here: a guest whose address space is the native arena's (guest.go), the generator of code and states
// (gen.go, operand.go, state.go), what is left out and why, and which flags the manuals leave undefined (policy.go, flags.go), the comparison (compare.go)
// and the corpus of results recorded from silicon that every host replays (corpus.go). What does not: execution on the host's processor, which is package
// native, and the program that runs both for minutes, which is benches/fuzzcpu.
//
// The path through it: Generator.Next makes a Case; Guest.Run executes it on the software CPU, twice, by the hot dispatch codes and one
// instruction at a time by the handlers; native.Arena.Run executes it on the host; Compare names the differences.
package fuzz
