// Package backend is the host's end of a guest's paravirtual devices: console and xenstore so far.
//
// What lives here: for each device a goroutine that moves data between the guest's ring and the host when it is
// kicked. What does not: ring indices (ring), the xenstore protocol (xenstore), where console output is kept and who
// watches it (control).
//
// The path through it: build makes a backend with the ring's page and a function that signals the guest's event channel, and hands
// the backend's Kick to evtchn for the host's end. Kick never blocks and may be called from a vCPU's thread. When a
// guest corrupts its ring, OnCorrupt is called once and the ring is left alone: the owner decides whether the domain is
// crashed. Close ends the goroutine after a last look at the ring.
//
// Backends touch guest memory: Close them before guestmem.Memory.Close.
//
// Lock order: the locks here are leaves; Notify, OnCorrupt and writers are called without them.
package backend
