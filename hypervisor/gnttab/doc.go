// Package gnttab is the grant table of one domain, of version 1 or 2 as the guest chooses: the frames the guest writes its grants to, and the
// pages that are mapped or copied through them.
//
// What lives here: pinning a grant with Xen's compare-and-swap rules, the map handles of the guest's own (loopback)
// mappings, Map, Unmap and Copy for backends on the host, which stand for domain 0. What does not: the
// decoding of GNTTABOP_* arguments (hypercall), where a grant frame appears in guest memory (domain).
//
// The path through it: a backend calls Map with a reference from its ring; the entry is checked and marked
// GTF_reading (and GTF_writing), the page is handed out; Unmap takes the marks away when the last user goes.
//
// Lock order: Table.mu is taken above guestmem's and below the domain's. Nothing is called back.
package gnttab
