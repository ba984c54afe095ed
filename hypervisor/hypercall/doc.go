// Package hypercall decodes what a guest asks of Xen and calls the subsystem that knows the rule.
//
// What lives here: table.go, the list of all hypercalls with what we make of each, and one file per family that copies
// arguments in, calls, and copies results out. What does not: rules (evtchn, gnttab, clock, domain), and how the guest
// reached us (vcpu).
//
// The path through it: the vCPU loop calls Call with the guest's registers; the row of the number runs;
// the result goes to rax. Work is bounded per call: a long list is continued as Xen does it, with the
// progress written back to the argument registers and the number left in rax, and Result.Again asks the loop to
// call once more.
//
// Both ABIs are decoded: 64-bit (rax; rdi rsi rdx r10 r8 r9) and 32-bit (eax; ebx ecx edx esi edi ebp), each with its
// own layouts.
//
// arm64 guests come in by CallA64, with a table of their own; the families are shared.
package hypercall
