// Facts of Xen public/sched.h.

package xen

// Scheduler operations.
const (
	SCHEDOP_yield           = 0
	SCHEDOP_block           = 1
	SCHEDOP_shutdown        = 2
	SCHEDOP_poll            = 3
	SCHEDOP_remote_shutdown = 4
	SCHEDOP_shutdown_code   = 5
	SCHEDOP_watchdog        = 6
	SCHEDOP_pin_override    = 7
)

// Shutdown reasons.
const (
	SHUTDOWN_poweroff   = 0
	SHUTDOWN_reboot     = 1
	SHUTDOWN_suspend    = 2
	SHUTDOWN_crash      = 3
	SHUTDOWN_watchdog   = 4
	SHUTDOWN_soft_reset = 5
	SHUTDOWN_MAX        = 5
)

// SchedShutdown is the argument of SCHEDOP_shutdown and SCHEDOP_shutdown_code (C: sched_shutdown).
type SchedShutdown struct {
	Reason uint32
}

// Layout visits the fields of SchedShutdown in the order of the C struct.
func (s *SchedShutdown) Layout(c *Codec) {
	c.U32(&s.Reason)
}

// SchedPoll is the argument of SCHEDOP_poll; Timeout is absolute system time in ns, 0 for none (C: sched_poll).
type SchedPoll struct {
	Ports   uint64
	NrPorts uint32
	Timeout uint64
}

// Layout visits the fields of SchedPoll in the order of the C struct.
func (s *SchedPoll) Layout(c *Codec) {
	c.Long(&s.Ports)
	c.U32(&s.NrPorts)
	c.U64(&s.Timeout)
}

// SchedRemoteShutdown is the argument of SCHEDOP_remote_shutdown (C: sched_remote_shutdown).
type SchedRemoteShutdown struct {
	DomainID DomID
	Reason   uint32
}

// Layout visits the fields of SchedRemoteShutdown in the order of the C struct.
func (s *SchedRemoteShutdown) Layout(c *Codec) {
	c.Dom(&s.DomainID)
	c.U32(&s.Reason)
}

// SchedWatchdog is the argument of SCHEDOP_watchdog; Timeout in seconds (C: sched_watchdog).
type SchedWatchdog struct {
	ID      uint32
	Timeout uint32
}

// Layout visits the fields of SchedWatchdog in the order of the C struct.
func (s *SchedWatchdog) Layout(c *Codec) {
	c.U32(&s.ID)
	c.U32(&s.Timeout)
}
