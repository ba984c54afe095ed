package xen

import "strconv"

// DomID is a domain id (C: domid_t).
type DomID uint16

// GrantStatus is the status field of a grant table call: GNTST_okay or a negative GNTST_ code (C: int16_t).
type GrantStatus int16

// Error describes the status, so that it can travel as a Go error on the host.
func (s GrantStatus) Error() string {
	names := [...]string{"okay", "general error", "unknown domain", "bad grant reference", "bad mapping handle",
		"bad virtual address", "bad device address", "no device space", "permission denied", "bad page",
		"copy crosses a page", "address too big", "busy, try again", "no space"}
	if s <= 0 && int(-s) < len(names) {
		return "grant: " + names[-s]
	}
	return "grant: status " + strconv.Itoa(int(s))
}
