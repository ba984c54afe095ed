// Package x86 holds machine facts of x86-64 processors: the architectural state of one
// vCPU, register and flag bits, MSR and CPUID numbers, descriptor layouts, exceptions.
//
// It has no behaviour beyond packing and unpacking what the manuals lay out. Names are those of the Intel SDM and
// the AMD APM; where they differ, Intel's.
package x86
