// Package disk is disk images as files: what lies below every disk device.
//
// What lives here: raw images, and the client's side of NBD, by which images in other formats are had. What does not: devices (backend/block, hvm/ide), image
// formats (those qemu-nbd reads), and who starts that (control/process).
//
// The path through it: control/process opens the file, or starts what reads it, and makes an Image of it; a device reads and writes.
package disk
