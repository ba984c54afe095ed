package domain

import "gozen/hypervisor/xen"

// ABI gives the ABI of what the guest shares with us: shared_info, vcpu_info, and the areas that it registers. It changes by Latch only; hypercalls have the
// ABI of the mode they are made in. Any goroutine.
func (d *Domain) ABI() xen.ABI { return xen.ABI(d.abi.Load()) }

func (d *Domain) layout() xen.SharedLayout { return xen.Shared(d.ABI()) }

// Latch makes the shared areas those of a guest in 64-bit mode, or not. A guest is looked at when it asks for a hypercall page and when it sets
// HVM_PARAM_CALLBACK_IRQ, which kernels do before anything else (Xen arch/x86/hvm/hvm.c, hvm_latch_shinfo_size). Nothing in the areas moves, but the wall
// clock is written where it now belongs. Any goroutine.
func (d *Domain) Latch(long bool) {
	abi := xen.ABI64
	if !long {
		abi = xen.ABI32
	}
	d.mu.Lock()
	if d.ABI() != xen.ABIA64 && d.ABI() != abi {
		d.abi.Store(uint32(abi))
		d.Events.SetABI(abi)
		d.host.Width(long)
	}
	d.mu.Unlock()
	d.Clock.WriteWall(d.shared, d.layout())
}
