// Package bootloader finds in a disk what a boot loader would start from it: a kernel, its initial RAM disks, its command line. It is what
// bootloader="pygrub" in xl.cfg means.
//
// What lives here: the volumes of a disk, the configurations of GRUB, GRUB legacy, systemd-boot (and Fedora's like it) and syslinux, the choice of an entry. What
// does not: reading tables of partitions and file systems (partition, ext4, fat), loading a kernel (image).
//
// The path through it: Find opens the volumes, reads each configuration that it knows the place of until one offers something, chooses an entry and opens its
// files. grub.cfg is a program, and is executed. All of it is hostile input: a meter bounds what is read of the disk, and programs have a number of steps, a depth
// and an amount of text that they can make.
package bootloader
