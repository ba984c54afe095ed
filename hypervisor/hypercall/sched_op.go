package hypercall

import (
	"encoding/binary"

	"gozen/hypervisor/xen"
)

func schedSubs() []sub {
	return []sub{
		{xen.SCHEDOP_yield, "yield", Supported, ""},
		{xen.SCHEDOP_block, "block", Supported, ""},
		{xen.SCHEDOP_shutdown, "shutdown", Supported, ""},
		{xen.SCHEDOP_poll, "poll", Supported, "at most 128 ports"},
		{xen.SCHEDOP_remote_shutdown, "remote_shutdown", Refused, priv},
		{xen.SCHEDOP_shutdown_code, "shutdown_code", Supported, ""},
		{xen.SCHEDOP_watchdog, "watchdog", Supported, ""},
		{xen.SCHEDOP_pin_override, "pin_override", Refused, priv},
	}
}

func (c *call) schedOp() uint64 {
	va := c.args[1]
	switch uint32(c.args[0]) {
	case xen.SCHEDOP_yield:
		c.res.Yield = true
		return 0
	case xen.SCHEDOP_block:
		if c.v.PV != nil {
			c.v.SetMasked(false)
		}
		c.res.Block = true
		return 0
	case xen.SCHEDOP_shutdown, xen.SCHEDOP_shutdown_code:
		return c.schedShutdown(va, uint32(c.args[0]) == xen.SCHEDOP_shutdown_code)
	case xen.SCHEDOP_poll:
		return c.schedPoll(va)
	case xen.SCHEDOP_remote_shutdown:
		return c.schedRemoteShutdown(va)
	case xen.SCHEDOP_watchdog:
		return c.schedWatchdog(va)
	case xen.SCHEDOP_pin_override:
		return xen.EPERM.Ret()
	}
	return xen.ENOSYS.Ret()
}

func (c *call) schedShutdown(va uint64, code bool) uint64 {
	var op xen.SchedShutdown
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	if code {
		c.d.SetShutdownCode(uint8(op.Reason))
	} else {
		c.d.Shutdown(uint8(op.Reason))
	}
	return 0
}

// maxPoll is the most ports one poll may name.
const maxPoll = 128

func (c *call) schedPoll(va uint64) uint64 {
	var op xen.SchedPoll
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	if op.NrPorts > maxPoll {
		return xen.EINVAL.Ret()
	}
	ports := c.v.Scratch[:4*op.NrPorts]
	if c.v.Virt.ReadVirt(op.Ports, ports) != nil {
		return efault
	}
	c.v.BeginPoll(op.Timeout)
	for len(ports) > 0 {
		pending, err := c.v.PolledPort(binary.LittleEndian.Uint32(ports))
		if pending || err != 0 {
			c.v.EndPoll()
			return err.Ret()
		}
		ports = ports[4:]
	}
	c.res.Block = true
	return 0
}

func (c *call) schedRemoteShutdown(va uint64) uint64 {
	var op xen.SchedRemoteShutdown
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	if op.DomainID == 0 || op.DomainID == c.d.ID {
		return xen.EPERM.Ret()
	}
	return xen.ESRCH.Ret()
}

func (c *call) schedWatchdog(va uint64) uint64 {
	var op xen.SchedWatchdog
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	id, err := c.d.Watchdog(op.ID, op.Timeout)
	if err != 0 {
		return err.Ret()
	}
	return uint64(id)
}

// setTimerOp takes the timeout in one argument, or in two on the 32-bit ABI.
func (c *call) setTimerOp() uint64 {
	t := c.args[0]
	if c.abi == xen.ABI32 {
		t |= c.args[1] << 32
	}
	c.v.SetTimer(int64(t))
	return 0
}

func (c *call) vmAssist() uint64 {
	cmd := uint32(c.args[0])
	if typ := uint32(c.args[1]); typ != xen.VMASST_TYPE_runstate_update_flag {
		return xen.EINVAL.Ret()
	}
	if cmd != xen.VMASST_CMD_enable && cmd != xen.VMASST_CMD_disable {
		return xen.ENOSYS.Ret()
	}
	return c.d.SetAssist(xen.VMASST_TYPE_runstate_update_flag, cmd == xen.VMASST_CMD_enable).Ret()
}
