// Package ext4 reads ext2, ext3 and ext4 file systems: enough to find a file by its name and to read it.
//
// What lives here: superblock, group descriptors, inodes, directories, symbolic links, the maps from a file's blocks to those of the disk. What does
// not: writing, the journal (a file system that was not unmounted is read as it lies there, as boot loaders do), attributes, checksums.
//
// The path through it: Open reads the superblock, FS.Open walks a path and gives a File, which reads any part. All that lies in the file system is hostile
// input: sizes, counts and depths are bounded, no allocation is larger than a block, and nothing loops for longer than what it reads.
package ext4
