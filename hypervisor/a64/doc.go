// Package a64 is what is fixed about an arm64 processor: the registers of a vCPU and the bits of those that the
// hypervisor looks at (Arm ARM, DDI 0487; "D" and "C" numbers in comments are its sections).
//
// What lives here: facts and plain data. What does not: page-table walks (a64/paging), how KVM numbers registers
// (engine/kvm), Xen's arm64 interface (xen).
package a64
