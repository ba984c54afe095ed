// Facts of Xen public/hvm/hvm_op.h.

package xen

// HVM operations.
const (
	HVMOP_set_param                = 0
	HVMOP_get_param                = 1
	HVMOP_flush_tlbs               = 5
	HVMOP_pagetable_dying          = 9
	HVMOP_get_time                 = 10
	HVMOP_xentrace                 = 11
	HVMOP_get_mem_type             = 15
	HVMOP_set_evtchn_upcall_vector = 23
	HVMOP_guest_request_vm_event   = 24
	HVMOP_altp2m                   = 25
)

// HVMParam is the argument of HVMOP_set_param and HVMOP_get_param (C: xen_hvm_param).
type HVMParam struct {
	DomID DomID
	Index uint32
	Value uint64
}

// Layout visits the fields of HVMParam in the order of the C struct.
func (s *HVMParam) Layout(c *Codec) {
	c.Dom(&s.DomID)
	c.Skip(2)
	c.U32(&s.Index)
	c.U64(&s.Value)
}

// HVMEvtchnUpcallVector is the argument of HVMOP_set_evtchn_upcall_vector (C: xen_hvm_evtchn_upcall_vector).
type HVMEvtchnUpcallVector struct {
	VCPU   uint32
	Vector uint8
}

// Layout visits the fields of HVMEvtchnUpcallVector in the order of the C struct.
func (s *HVMEvtchnUpcallVector) Layout(c *Codec) {
	c.U32(&s.VCPU)
	c.U8(&s.Vector)
}

// HVMPagetableDying is the argument of HVMOP_pagetable_dying (C: xen_hvm_pagetable_dying).
type HVMPagetableDying struct {
	DomID DomID
	GPA   uint64
}

// Layout visits the fields of HVMPagetableDying in the order of the C struct.
func (s *HVMPagetableDying) Layout(c *Codec) {
	c.Dom(&s.DomID)
	c.Skip(6)
	c.U64(&s.GPA)
}

// HVMGetTime is the argument of HVMOP_get_time (C: xen_hvm_get_time).
type HVMGetTime struct {
	Now uint64
}

// Layout visits the fields of HVMGetTime in the order of the C struct.
func (s *HVMGetTime) Layout(c *Codec) {
	c.U64(&s.Now)
}

// HVMGetMemType is the argument of HVMOP_get_mem_type (C: xen_hvm_get_mem_type).
type HVMGetMemType struct {
	DomID   DomID
	MemType uint16
	PFN     uint64
}

// Layout visits the fields of HVMGetMemType in the order of the C struct.
func (s *HVMGetMemType) Layout(c *Codec) {
	c.Dom(&s.DomID)
	c.U16(&s.MemType)
	c.Skip(4)
	c.U64(&s.PFN)
}
