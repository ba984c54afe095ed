// Package xen is Xen's public interface as Go: numbers and wire structs, one file per C header,
// as of Xen 4.17.
//
// Constants keep their C names (without leading underscores), so that a grep meets Xen's headers.
// A struct that crosses the guest boundary is a Go struct with a Layout method that visits its fields in C
// order; a Codec walks it for the 64-bit or the 32-bit ABI, to measure, to decode or to encode. Areas that
// stay shared with the guest (shared_info, vcpu_info, rings, grant entries) have byte offsets instead, since
// they are read and written word by word.
//
// arm64 guests have the 64-bit ABI's argument structs; what differs (ABIA64, a64.go) are the shared areas.
//
// testdata holds sizes, offsets and values as a C compiler gives them for Xen's own headers; the tests
// compare the ABIs with it.
package xen
