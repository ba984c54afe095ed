// Package evtchn is the event channels of one domain: ports, their bindings, and the delivery of events in
// the two ABIs of Xen, the 2-level bit arrays of shared_info and the FIFO queues.
//
// What lives here: every rule of EVTCHNOP_* for a domain that talks to itself and to a host that stands
// for domain 0. What does not: decoding hypercall arguments (hypercall), turning a pending upcall into an
// interrupt (domain, vcpu).
//
// The path through it: the hypercall decodes and calls Send, AllocUnbound, ...; backends of the host hold a HostPort and
// call Notify; both end in setPending, which sets the guest's bits and, when vcpu_info's
// evtchn_upcall_pending goes from 0 to 1, calls Config.Notify for that vCPU.
//
// Lock order: Table.mu is taken below domain locks and above guestmem's. Callbacks run with no lock held.
package evtchn
