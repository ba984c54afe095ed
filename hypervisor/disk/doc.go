// Package disk is disk images as files: what lies below every disk device.
//
// What lives here: raw images. What does not: devices (hvm/ide), image formats that do not exist here yet.
//
// The path through it: build opens the file and makes a Raw of it, a device reads and writes. All methods may be called from any goroutine.
package disk
