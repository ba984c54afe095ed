// Package guestmem holds the physical memory of one guest: which guest frame is
// backed by which host page, and the only ways to read and write it from the host.
//
// What lives here: the frame map (GFN to host page), RAM regions and what backs them, overlay pages
// (shared info, grant table frames), checked copies, atomic access to shared pages.
// What does not: guest-virtual addresses (hypervisor/x86/paging), device registers (iobus).
//
// The path through it: build makes a Memory with New, the loader fills it with
// Write, hypercalls change the map with Map, Populate and Release, and an engine reads
// the map with HostPage when it fills its TLB or its memory slots; it learns of
// changes through OnChange.
//
// Lock order: Memory.mu is a leaf; no other lock is taken while it is held.
package guestmem
