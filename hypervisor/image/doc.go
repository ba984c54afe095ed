// Package image reads kernel files: ELF (vmlinux, unikernels), bzImage with a compressed ELF inside, and compressed
// ELF files, together with the Xen notes in them (public/elfnote.h).
//
// For arm64: the Image format, compressed or inside an EFI zboot program (OpenA64).
//
// What lives here: recognising a file, bounded decompression, ELF headers and notes, writing segments to guest memory.
// What does not: where things go in a domain and what the notes mean for its start (pvh, pv).
//
// The path through it: OpenFile or Open recognises the file and reads the ELF headers, decompressing only the first
// kilobytes of a compressed kernel. Load streams the segments straight into guest memory, in one pass, and catches the
// notes as they go by. Files are hostile input: headers are checked for overflow and overlap, output is bounded by
// what the headers promise, and no error path keeps memory.
package image
