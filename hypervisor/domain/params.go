package domain

import (
	"gozen/hypervisor/xen"
)

// Param gives an HVM parameter, for the toolstack and backends. An index out of range gives 0.
func (d *Domain) Param(index uint32) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if index >= xen.HVM_NR_PARAMS {
		return 0
	}
	return d.params[index]
}

// SetParam sets an HVM parameter as the toolstack does, without the limits that a guest has.
func (d *Domain) SetParam(index uint32, value uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if index < xen.HVM_NR_PARAMS {
		d.params[index] = value
		if index == xen.HVM_PARAM_CALLBACK_IRQ {
			d.setCallback(value)
		}
	}
}

// paramRule says what a guest may do with one of its own parameters (Xen arch/x86/hvm/hvm.c, arch/arm/hvm.c).
func paramRule(abi xen.ABI, index uint32) (get, set xen.Errno) {
	if abi == xen.ABIA64 {
		return paramRuleA64(index)
	}
	switch index {
	case xen.HVM_PARAM_CALLBACK_IRQ, xen.HVM_PARAM_VM86_TSS, xen.HVM_PARAM_VM86_TSS_SIZED,
		xen.HVM_PARAM_ACPI_IOPORTS_LOCATION, xen.HVM_PARAM_VM_GENERATION_ID_ADDR, xen.HVM_PARAM_STORE_EVTCHN,
		xen.HVM_PARAM_CONSOLE_EVTCHN, xen.HVM_PARAM_X87_FIP_WIDTH:
		return 0, 0
	case xen.HVM_PARAM_STORE_PFN, xen.HVM_PARAM_CONSOLE_PFN, xen.HVM_PARAM_ALTP2M:
		return 0, xen.EPERM
	case xen.HVM_PARAM_PAE_ENABLED, xen.HVM_PARAM_DM_DOMAIN, xen.HVM_PARAM_MEMORY_EVENT_CR0,
		xen.HVM_PARAM_MEMORY_EVENT_CR3, xen.HVM_PARAM_MEMORY_EVENT_CR4, xen.HVM_PARAM_MEMORY_EVENT_INT3,
		xen.HVM_PARAM_NESTEDHVM, xen.HVM_PARAM_MEMORY_EVENT_SINGLE_STEP, xen.HVM_PARAM_BUFIOREQ_EVTCHN,
		xen.HVM_PARAM_MEMORY_EVENT_MSR:
		return xen.EINVAL, xen.EINVAL
	}
	return xen.EPERM, xen.EPERM
}

func paramRuleA64(index uint32) (get, set xen.Errno) {
	switch index {
	case xen.HVM_PARAM_CALLBACK_IRQ, xen.HVM_PARAM_STORE_PFN, xen.HVM_PARAM_STORE_EVTCHN, xen.HVM_PARAM_CONSOLE_PFN,
		xen.HVM_PARAM_CONSOLE_EVTCHN:
		return 0, xen.EPERM
	case xen.HVM_PARAM_MONITOR_RING_PFN:
		return xen.EPERM, xen.EPERM
	}
	return xen.EINVAL, xen.EINVAL
}

// vm86TSS: size of a 32-bit TSS, and the most that is useful of it with its bitmaps.
const (
	tssSize    = 104
	tssMaxSize = tssSize + 0x100/8 + 0x10000/8 + 1
)

// GuestSetParam is HVMOP_set_param for the domain itself.
func (d *Domain) GuestSetParam(index uint32, value uint64) xen.Errno {
	if index >= xen.HVM_NR_PARAMS {
		return xen.EINVAL
	}
	if _, err := paramRule(d.ABI(), index); err != 0 {
		return err
	}
	d.mu.Lock()
	switch index {
	case xen.HVM_PARAM_ACPI_IOPORTS_LOCATION: // moves the PM timer's ports, which a PVH domain does not have
		if value > 1 {
			d.mu.Unlock()
			return xen.EINVAL
		}
	case xen.HVM_PARAM_X87_FIP_WIDTH:
		if value != 0 && value != 4 && value != 8 {
			d.mu.Unlock()
			return xen.EINVAL
		}
	case xen.HVM_PARAM_VM86_TSS:
		if value>>32 != 0 {
			return d.badTSS()
		}
		index = xen.HVM_PARAM_VM86_TSS_SIZED
		if value != 0 {
			value |= 128 << 32
		}
	case xen.HVM_PARAM_VM86_TSS_SIZED:
		if value>>32 < tssSize {
			return d.badTSS()
		}
		value = value&0xffffffff | min(value>>32, tssMaxSize)<<32
	}
	d.params[index] = value
	if index == xen.HVM_PARAM_CALLBACK_IRQ {
		d.setCallback(value)
	}
	d.mu.Unlock()
	if index == xen.HVM_PARAM_CALLBACK_IRQ {
		for _, v := range d.VCPUs {
			if v.up.Load() && v.UpcallPending() {
				d.notifyUpcall(v.ID)
			}
		}
	}
	return 0
}

// badTSS ends a domain that gives an impossible TSS, as Xen does; the caller holds mu.
func (d *Domain) badTSS() xen.Errno {
	d.mu.Unlock()
	d.Crash(0, "guest set an invalid HVM_PARAM_VM86_TSS", nil)
	return xen.EINVAL
}

// GuestParam is HVMOP_get_param for the domain itself.
func (d *Domain) GuestParam(index uint32) (uint64, xen.Errno) {
	if index >= xen.HVM_NR_PARAMS {
		return 0, xen.EINVAL
	}
	if err, _ := paramRule(d.ABI(), index); err != 0 {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if index == xen.HVM_PARAM_VM86_TSS {
		return d.params[xen.HVM_PARAM_VM86_TSS_SIZED] & 0xffffffff, 0
	}
	return d.params[index], 0
}
