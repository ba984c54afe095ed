package image

import (
	"fmt"
	"io"
	"runtime/debug"
	"syscall"

	"gozen/hypervisor/guestmem"
)

// overshoot is more than a decompressor writes behind what it gives: it copies in pieces of at most 64 bytes.
const overshoot = 4096

// blocks gives the stream's reader of blocks when a block begins at pos, nil otherwise.
func (k *Kernel) blocks(pos uint64) blockReader {
	b, ok := k.rest.(*bounded)
	if !ok || b.blocks == nil || pos < uint64(len(k.head)) || b.blocks.buffered() > 0 {
		return nil
	}
	return b.blocks
}

// chunk gives how many bytes the next copy takes: no more than are left of a block that was unpacked into a buffer, so that the next one
// can go where it belongs.
func (k *Kernel) chunk(mem *guestmem.Memory, pos uint64) int {
	if b, ok := k.rest.(*bounded); ok && mem != nil && b.blocks != nil {
		left := b.blocks.buffered()
		if pos < uint64(len(k.head)) {
			left += len(k.head) - int(pos)
		}
		if left > 0 {
			return min(left, streamChunk)
		}
	}
	return streamChunk
}

// place gives the guest memory for a block that begins at pos of the image. ok is false if the block's bytes do not all keep their distance
// there, or would fall on what another segment has.
func (k *Kernel) place(mem *guestmem.Memory, pos uint64) (dst []byte, ok bool) {
	if mem == nil {
		return nil, false
	}
	b := k.blocks(pos)
	if b == nil {
		return nil, false
	}
	size := uint64(b.blockSize())
	var delta uint64
	found := false
	for _, s := range k.Segments {
		if s.Offset >= pos+size || s.Offset+s.FileSize <= pos {
			continue
		}
		if d := uint64(s.Phys) - s.Offset; !found {
			delta, found = d, true
		} else if d != delta {
			return nil, false
		}
	}
	if !found {
		return nil, false
	}
	at := guestmem.GPA(pos + delta)
	for _, s := range k.Segments {
		if uint64(s.Phys)-s.Offset != delta && s.Phys < at+guestmem.GPA(size) && at < s.End() {
			return nil, false
		}
	}
	return mem.Span(at, size)
}

// tidy clears what a block holds beside the segments: the memory there is to be empty.
func (k *Kernel) tidy(pos uint64, p []byte) {
	for start, end := pos, pos+uint64(len(p)); pos < end; {
		lo, hi := end, end // the next bytes that a segment has
		for _, s := range k.Segments {
			if s.Offset+s.FileSize > pos && s.Offset < lo {
				lo, hi = max(s.Offset, pos), s.Offset+s.FileSize
			}
		}
		clear(p[pos-start : lo-start])
		pos = hi
	}
}

// read puts the segments of a plain file into mem, each with one copy where its memory is in one piece.
func (k *Kernel) read(mem *guestmem.Memory) error {
	from, done := k.view()
	defer done()
	for _, s := range k.Segments {
		p, ok := mem.Span(s.Phys, s.FileSize)
		if !ok && s.FileSize > 0 {
			return k.stream(mem)
		}
		if n, err := from.ReadAt(p, int64(s.Offset)); n < len(p) {
			if err == io.EOF {
				return fmt.Errorf("%w: it ends after %#x bytes, but a segment needs bytes up to %#x; the file is cut off",
					ErrNotKernel, k.src.r.Size(), s.Offset+s.FileSize)
			}
			return err
		}
	}
	return nil
}

// view gives the file mapped into our memory, which saves a copy in the kernel, or as it is where that cannot be had.
func (k *Kernel) view() (from io.ReaderAt, done func()) {
	if k.file == nil {
		return k.src.r, func() {}
	}
	b, err := syscall.Mmap(int(k.file.Fd()), 0, int(k.src.r.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return k.src.r, func() {}
	}
	return mapped(b), func() { _ = syscall.Munmap(b) }
}

// mapped is a file that somebody may cut off while it is read.
type mapped []byte

// ReadAt implements io.ReaderAt.
func (m mapped) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off > int64(len(m)) {
		return 0, io.EOF
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // an access behind the file's new end is SIGBUS
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, fmt.Errorf("the file was cut off while it was read: %v", r)
		}
	}()
	if n = copy(p, m[off:]); n < len(p) {
		err = io.EOF
	}
	return n, err
}
