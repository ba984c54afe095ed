package kvm

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// runFailure says for people why KVM_RUN came back with an error.
func runFailure(err error) string {
	switch {
	case errors.Is(err, unix.EFAULT):
		return "the host could not provide guest memory (KVM_RUN: bad address): it is short of memory, or a limit is reached"
	case errors.Is(err, unix.ENOMEM):
		return "the host is out of memory (KVM_RUN)"
	case errors.Is(err, unix.ENOSYS):
		return "the guest accessed an address where nothing is, by an instruction that the host cannot decode (KVM_RUN)"
	}
	return "KVM_RUN: " + err.Error()
}

// exitFailure says what an exit means that no guest should cause, and gives suberror where there is one.
func (t *thread) exitFailure(reason uint32) string {
	switch reason {
	case exitFailEntry:
		return fmt.Sprintf("KVM_EXIT_FAIL_ENTRY: the processor refused the guest's state (hardware reason %#x)", t.u64(hardwareReason))
	case exitInternalError:
		return fmt.Sprintf("KVM_EXIT_INTERNAL_ERROR, suberror %d", t.u32(failSuberror))
	}
	return fmt.Sprintf("KVM exit %d, which gozen does not know", reason)
}
