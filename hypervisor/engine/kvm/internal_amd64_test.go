package kvm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/engine"
)

// TestInternal reads what KVM says of a guest that it cannot run.
func TestInternal(t *testing.T) {
	le := binary.LittleEndian
	tests := []struct {
		name   string
		reason uint32
		fill   func(run []byte)
		want   string
		insn   string
	}{
		{"fail entry", exitFailEntry, func(r []byte) { le.PutUint64(r[hardwareReason:], 0x80000021) },
			"KVM_EXIT_FAIL_ENTRY: the processor refused the guest's state (hardware reason 0x80000021)", ""},
		{"emulation with bytes", exitInternalError, func(r []byte) {
			le.PutUint32(r[failSuberror:], internalEmulate)
			le.PutUint32(r[failNData:], 4)
			le.PutUint64(r[failData:], flagInsnBytes)
			r[failInsnSize] = 4
			copy(r[failInsnBytes:], "\x66\x0f\xfe\x00\x90")
		}, "KVM_EXIT_INTERNAL_ERROR, suberror 1: the host cannot emulate this instruction: 66 0f fe 00", "\x66\x0f\xfe\x00"},
		{"emulation, size beyond the array", exitInternalError, func(r []byte) {
			le.PutUint32(r[failSuberror:], internalEmulate)
			le.PutUint32(r[failNData:], 4)
			le.PutUint64(r[failData:], flagInsnBytes)
			r[failInsnSize] = 255
		}, "KVM_EXIT_INTERNAL_ERROR, suberror 1: the host cannot emulate this instruction: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
			"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"emulation, no bytes", exitInternalError, func(r []byte) { le.PutUint32(r[failSuberror:], internalEmulate) },
			"KVM_EXIT_INTERNAL_ERROR, suberror 1: the host cannot emulate this instruction", ""},
		{"event delivery", exitInternalError, func(r []byte) { le.PutUint32(r[failSuberror:], 3) }, "KVM_EXIT_INTERNAL_ERROR, suberror 3", ""},
		{"unknown", 99, func([]byte) {}, "KVM exit 99, which gozen does not know", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &VCPU{thread: &thread{run: make([]byte, runPage)}}
			c.words()
			tt.fill(c.run)
			e := engine.Exit{InsnN: 7}
			c.internal(&e, tt.reason)
			if e.Kind != engine.ExitInternal || e.Reason != tt.want || string(e.Insn[:e.InsnN]) != tt.insn {
				t.Errorf("%v %q % x", e.Kind, e.Reason, e.Insn[:e.InsnN])
			}
		})
	}
}

func TestFailed(t *testing.T) {
	for err, want := range map[error]string{
		unix.EFAULT:                            "the host could not provide guest memory (KVM_RUN: bad address): it is short of memory, or a limit is reached",
		unix.ENOMEM:                            "the host is out of memory (KVM_RUN)",
		unix.EIO:                               "KVM_RUN: input/output error",
		fmt.Errorf("wrapped: %w", unix.ENOMEM): "the host is out of memory (KVM_RUN)",
		errors.New("other"):                    "KVM_RUN: other",
	} {
		var e engine.Exit
		(&VCPU{}).failed(&e, err)
		if e.Kind != engine.ExitInternal || e.Reason != want {
			t.Errorf("%v: %q", err, e.Reason)
		}
	}
}
