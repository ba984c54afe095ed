package hypercall

import "gozen/hypervisor/xen"

// consoleChunk is how much of a console write is done per call.
const consoleChunk = 1024

// consoleIO is the emergency console: what the guest writes goes to the domain's sink.
func (c *call) consoleIO() uint64 {
	cmd, count, va := uint32(c.args[0]), uint32(c.args[1]), c.args[2]
	w := c.d.Console()
	if w == nil {
		return xen.EPERM.Ret()
	}
	switch cmd {
	case xen.CONSOLEIO_write:
	case xen.CONSOLEIO_read:
		return 0
	default:
		return xen.ENOSYS.Ret()
	}
	n := min(count, consoleChunk)
	b := c.v.Scratch[:n]
	if c.v.Virt.ReadVirt(va, b) != nil {
		return efault
	}
	_, _ = w.Write(b) // a sink that fails loses output, it does not stop the guest
	if n < count {
		c.args[1], c.args[2] = uint64(count-n), c.elem(va, uint64(n), 1)
		return c.again()
	}
	return 0
}
