// Package initramfs writes initial RAM disks for the guests of demos, tests and benchmarks: cpio archives in the "new
// ASCII" format that Linux unpacks (Documentation/driver-api/early-userspace/buffer-format.rst), with the gzip layer
// left out since it would only be undone by the guest.
//
// What lives here: the format. What does not: what goes in (the caller's files), kernels.
//
// The path through it: fill an Archive with File, Dir, Symlink and Device; missing folders are made on the way; Bytes
// gives the archive. The same calls give the same bytes: times and owners are 0.
package initramfs
