// Package block is the host's end of a guest's paravirtual disks (public/io/blkif.h).
//
// What lives here: taking requests from the rings, mapping what they grant, and moving the data between guest pages and the image without a
// copy in between; indirect requests, flush, barrier, discard, several queues, rings of several pages, persistent grants. What does not: the
// handshake (backend.Device), images (disk).
//
// The path through it: build makes a Disk and gives it to a backend.Device as its driver. Connect maps the rings and binds the event channels;
// a kick makes a queue's goroutine take requests. What the page cache can answer is answered there and then; what has to wait for the
// medium waits in a goroutine of its own.
//
// Lock order: queue.mu is a leaf, but for gnttab's and evtchn's locks.
package block
