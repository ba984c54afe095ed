// Package decode turns instruction bytes into an Inst: pure, table-driven, no state.
//
// It serves the software CPU (which executes Insts), emulation of single instructions, and
// traces. Tables follow the opcode maps of SDM 2D appendix A: onebyte.go, twobyte.go, sse.go;
// groups.go holds the opcodes whose ModRM.reg selects the instruction.
//
// The path through it: Decode reads prefixes, finds the table entry, then ModRM, displacement and
// immediate as the entry's Form says, and applies the size rules.
package decode
