// Package kvm runs guests on the host's KVM: AMD SVM, Intel VT-x, software KVMs, and arm64.
//
// What lives here: what the host can do (Host), a virtual machine and its memory slots, vCPUs and their run loop. What does not: what an
// exit means (vcpu), which of the host's paths a domain takes (build decides, from the plan and from Host's abilities).
//
// The path through it: Open probes /dev/kvm once; New makes a VM whose slots follow guestmem; NewVCPU makes a vCPU, and its Run enters
// the guest by KVM_RUN and translates the exit.
//
// Files named _amd64 and _arm64 are for that host; a KVM guest is of its host's kind. Numbers and layouts are those of
// include/uapi/linux/kvm.h and of arch/*/include/uapi/asm/kvm.h, described in Documentation/virt/kvm/api.rst.
//
// Lock order: VM.mu is a leaf. While memory slots change, VM.mu is held and every vCPU is outside the guest.
package kvm
