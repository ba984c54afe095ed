// Package guestdisk builds a real Debian: a root disk with systemd and a login on the console, its kernel and its initial RAM disk. It lies in .cache/guest-disk,
// in a folder named for the recipe that it was made by.
//
// The path through it: Make has mmdebstrap put the system into a tar file, unpacks that, and has mke2fs make a file system of it, all without mounting
// anything. Find gives what was made. The command is in guestdisk/make.
package guestdisk
