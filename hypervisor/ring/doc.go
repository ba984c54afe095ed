// Package ring is the host's side of the byte rings that a guest shares with its console and xenstore services
// (public/io/console.h, public/io/xs_wire.h).
//
// What lives here: moving bytes in and out with checked indices and the right order of accesses. What does not: what the
// bytes mean (xenstore), who is woken when (backend), rings of fixed-size requests (disk, link).
//
// The path through it: Console or Xenstore makes a Reader and a Writer over a shared page; a backend calls Read or Write
// and signals the guest when bytes moved. Both indices live in guest memory and a guest can write anything there: a
// difference larger than the ring is ErrCorrupt, and nothing is moved.
package ring
