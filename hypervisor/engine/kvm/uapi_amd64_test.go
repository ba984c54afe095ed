package kvm

import (
	"testing"
	"unsafe"
)

// The size is part of a request's number, so a structure that has another one would write beyond itself.
func TestStructures_haveTheKernelsSizes(t *testing.T) {
	size := func(request uintptr) uintptr { return request >> 16 & 0x3fff }
	for _, x := range []struct {
		name      string
		got, want uintptr
	}{
		{"kvm_regs", unsafe.Sizeof(regs{}), size(kvmGetRegs)},
		{"kvm_sregs", unsafe.Sizeof(sregs{}), size(kvmGetSregs)},
		{"kvm_vcpu_events", unsafe.Sizeof(vcpuEvents{}), size(kvmGetVCPUEvents)},
		{"kvm_debugregs", unsafe.Sizeof(debugRegs{}), size(kvmGetDebugRegs)},
		{"kvm_xcrs", unsafe.Sizeof(xcrs{}), size(kvmGetXCRs)},
		{"kvm_msr_filter", unsafe.Sizeof(msrFilter{}), size(kvmSetMSRFilter)},
		{"kvm_clock_data", unsafe.Sizeof(clockData{}), size(kvmGetClock)},
		{"kvm_enable_cap", unsafe.Sizeof(enableCap{}), size(kvmEnableCap)},
		{"kvm_userspace_memory_region", unsafe.Sizeof(memoryRegion{}), size(kvmSetUserMemory)},
		{"kvm_dirty_log", unsafe.Sizeof(dirtyLog{}), size(kvmGetDirtyLog)},
		{"kvm_msi", unsafe.Sizeof(msi{}), size(kvmSignalMSI)},
		{"kvm_device_attr", unsafe.Sizeof(deviceAttr{}), size(kvmSetDeviceAttr)},
		{"kvm_segment", unsafe.Sizeof(segment{}), 24},
		{"kvm_cpuid_entry2", unsafe.Sizeof(cpuidEntry{}), 40},
		{"kvm_msr_entry", unsafe.Sizeof(msrEntry{}), 16},
		{"kvm_msr_filter_range", unsafe.Sizeof(msrRange{}), 24},
	} {
		if x.got != x.want {
			t.Errorf("%s: %d bytes, the kernel has %d", x.name, x.got, x.want)
		}
	}
}
