// Package xenstore is a domain's part of xenstore: the tree, permissions, transactions, watches and quotas, and the
// protocol that guests speak (docs/misc/xenstore.txt and public/io/xs_wire.h of Xen).
//
// What lives here: Store (the tree and its rules), Conn (one client of the wire protocol, fed with bytes), the tree a new
// domain finds. What does not: rings and event channels (backend), joining the parts of several domains (xl).
//
// The path through it: build makes a Store and calls AddDomain; the ring backend makes a Conn with Connect, feeds it with
// Write and drains it with Read; the toolstack uses the methods of Store with the rights of domain 0.
//
// A hostile guest is bounded on every side: nodes, sizes, watches, transactions and their length by Quota; answers and
// events it does not read by Conn, which then takes no more requests and merges events. A merged event names the watched
// path itself, which the protocol allows ("watches may be triggered spuriously") and which makes a client look again.
//
// Lock order: Store.mu, then that of a host's watch; both are leaves for others. Wake functions and watch functions are called without it.
package xenstore
