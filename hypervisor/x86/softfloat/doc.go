// Package softfloat is binary floating point as x86 processors compute it, in integers: single, double and double
// extended precision, the four rounding modes, x87 precision control, flush-to-zero, exception flags, NaN propagation (SSE's rules and
// x87's differ).
//
// What lives here: arithmetic on values, results rounded once (env.go, arith.go, convert.go), and the x87's transcendental functions
// to about one unit in the last place (wide.go, trans.go). What does not: registers, control words, delivery of exceptions.
//
// The path through it: a format's bits are unpacked into a Num, an Env method computes and rounds it for a Format, Pack
// makes bits of it again; flags gather in the Env. Everything is pure: no state outside the Env.
package softfloat
