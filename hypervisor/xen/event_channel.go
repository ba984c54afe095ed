// Facts of Xen public/event_channel.h.

package xen

// Event channel operations.
const (
	EVTCHNOP_bind_interdomain = 0
	EVTCHNOP_bind_virq        = 1
	EVTCHNOP_bind_pirq        = 2
	EVTCHNOP_close            = 3
	EVTCHNOP_send             = 4
	EVTCHNOP_status           = 5
	EVTCHNOP_alloc_unbound    = 6
	EVTCHNOP_bind_ipi         = 7
	EVTCHNOP_bind_vcpu        = 8
	EVTCHNOP_unmask           = 9
	EVTCHNOP_reset            = 10
	EVTCHNOP_init_control     = 11
	EVTCHNOP_expand_array     = 12
	EVTCHNOP_set_priority     = 13
)

// Channel states as EVTCHNOP_status reports them.
const (
	EVTCHNSTAT_closed      = 0
	EVTCHNSTAT_unbound     = 1
	EVTCHNSTAT_interdomain = 2
	EVTCHNSTAT_pirq        = 3
	EVTCHNSTAT_virq        = 4
	EVTCHNSTAT_ipi         = 5
)

// FIFO event channels: priorities, and bit numbers and widths of an event word.
const (
	EVTCHN_FIFO_PRIORITY_MAX     = 0
	EVTCHN_FIFO_PRIORITY_DEFAULT = 7
	EVTCHN_FIFO_PRIORITY_MIN     = 15
	EVTCHN_FIFO_MAX_QUEUES       = 16
	EVTCHN_FIFO_PENDING          = 31
	EVTCHN_FIFO_MASKED           = 30
	EVTCHN_FIFO_LINKED           = 29
	EVTCHN_FIFO_BUSY             = 28
	EVTCHN_FIFO_LINK_BITS        = 17
	EVTCHN_FIFO_LINK_MASK        = 131071
	EVTCHN_FIFO_NR_CHANNELS      = 131072
)

// EvtchnAllocUnbound is the argument of EVTCHNOP_alloc_unbound (C: evtchn_alloc_unbound).
type EvtchnAllocUnbound struct {
	Dom       DomID
	RemoteDom DomID
	Port      uint32
}

// Layout visits the fields of EvtchnAllocUnbound in the order of the C struct.
func (s *EvtchnAllocUnbound) Layout(c *Codec) {
	c.Dom(&s.Dom)
	c.Dom(&s.RemoteDom)
	c.U32(&s.Port)
}

// EvtchnBindInterdomain is the argument of EVTCHNOP_bind_interdomain (C: evtchn_bind_interdomain).
type EvtchnBindInterdomain struct {
	RemoteDom  DomID
	RemotePort uint32
	LocalPort  uint32
}

// Layout visits the fields of EvtchnBindInterdomain in the order of the C struct.
func (s *EvtchnBindInterdomain) Layout(c *Codec) {
	c.Dom(&s.RemoteDom)
	c.U32(&s.RemotePort)
	c.U32(&s.LocalPort)
}

// EvtchnBindVIRQ is the argument of EVTCHNOP_bind_virq (C: evtchn_bind_virq).
type EvtchnBindVIRQ struct {
	VIRQ uint32
	VCPU uint32
	Port uint32
}

// Layout visits the fields of EvtchnBindVIRQ in the order of the C struct.
func (s *EvtchnBindVIRQ) Layout(c *Codec) {
	c.U32(&s.VIRQ)
	c.U32(&s.VCPU)
	c.U32(&s.Port)
}

// EvtchnBindPIRQ is the argument of EVTCHNOP_bind_pirq (C: evtchn_bind_pirq).
type EvtchnBindPIRQ struct {
	PIRQ  uint32
	Flags uint32
	Port  uint32
}

// Layout visits the fields of EvtchnBindPIRQ in the order of the C struct.
func (s *EvtchnBindPIRQ) Layout(c *Codec) {
	c.U32(&s.PIRQ)
	c.U32(&s.Flags)
	c.U32(&s.Port)
}

// EvtchnBindIPI is the argument of EVTCHNOP_bind_ipi (C: evtchn_bind_ipi).
type EvtchnBindIPI struct {
	VCPU uint32
	Port uint32
}

// Layout visits the fields of EvtchnBindIPI in the order of the C struct.
func (s *EvtchnBindIPI) Layout(c *Codec) {
	c.U32(&s.VCPU)
	c.U32(&s.Port)
}

// EvtchnClose is the argument of EVTCHNOP_close (C: evtchn_close).
type EvtchnClose struct {
	Port uint32
}

// Layout visits the fields of EvtchnClose in the order of the C struct.
func (s *EvtchnClose) Layout(c *Codec) {
	c.U32(&s.Port)
}

// EvtchnSend is the argument of EVTCHNOP_send (C: evtchn_send).
type EvtchnSend struct {
	Port uint32
}

// Layout visits the fields of EvtchnSend in the order of the C struct.
func (s *EvtchnSend) Layout(c *Codec) {
	c.U32(&s.Port)
}

// EvtchnStatus is the argument of EVTCHNOP_status. U is the union's first word: the remote domain, the VIRQ or the PIRQ (C: evtchn_status).
type EvtchnStatus struct {
	Dom        DomID
	Port       uint32
	Status     uint32
	VCPU       uint32
	U          uint32
	RemotePort uint32
}

// Layout visits the fields of EvtchnStatus in the order of the C struct.
func (s *EvtchnStatus) Layout(c *Codec) {
	c.Dom(&s.Dom)
	c.U32(&s.Port)
	c.U32(&s.Status)
	c.U32(&s.VCPU)
	c.U32(&s.U)
	c.U32(&s.RemotePort)
}

// EvtchnBindVCPU is the argument of EVTCHNOP_bind_vcpu (C: evtchn_bind_vcpu).
type EvtchnBindVCPU struct {
	Port uint32
	VCPU uint32
}

// Layout visits the fields of EvtchnBindVCPU in the order of the C struct.
func (s *EvtchnBindVCPU) Layout(c *Codec) {
	c.U32(&s.Port)
	c.U32(&s.VCPU)
}

// EvtchnUnmask is the argument of EVTCHNOP_unmask (C: evtchn_unmask).
type EvtchnUnmask struct {
	Port uint32
}

// Layout visits the fields of EvtchnUnmask in the order of the C struct.
func (s *EvtchnUnmask) Layout(c *Codec) {
	c.U32(&s.Port)
}

// EvtchnReset is the argument of EVTCHNOP_reset (C: evtchn_reset).
type EvtchnReset struct {
	Dom DomID
}

// Layout visits the fields of EvtchnReset in the order of the C struct.
func (s *EvtchnReset) Layout(c *Codec) {
	c.Dom(&s.Dom)
}

// EvtchnInitControl is the argument of EVTCHNOP_init_control (C: evtchn_init_control).
type EvtchnInitControl struct {
	ControlGFN uint64
	Offset     uint32
	VCPU       uint32
	LinkBits   uint8
}

// Layout visits the fields of EvtchnInitControl in the order of the C struct.
func (s *EvtchnInitControl) Layout(c *Codec) {
	c.U64(&s.ControlGFN)
	c.U32(&s.Offset)
	c.U32(&s.VCPU)
	c.U8(&s.LinkBits)
	c.Skip(7)
}

// EvtchnExpandArray is the argument of EVTCHNOP_expand_array (C: evtchn_expand_array).
type EvtchnExpandArray struct {
	ArrayGFN uint64
}

// Layout visits the fields of EvtchnExpandArray in the order of the C struct.
func (s *EvtchnExpandArray) Layout(c *Codec) {
	c.U64(&s.ArrayGFN)
}

// EvtchnSetPriority is the argument of EVTCHNOP_set_priority (C: evtchn_set_priority).
type EvtchnSetPriority struct {
	Port     uint32
	Priority uint32
}

// Layout visits the fields of EvtchnSetPriority in the order of the C struct.
func (s *EvtchnSetPriority) Layout(c *Codec) {
	c.U32(&s.Port)
	c.U32(&s.Priority)
}
