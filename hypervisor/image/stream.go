package image

import (
	"bytes"
	"fmt"
	"io"

	"gozen/hypervisor/guestmem"
)

// streamChunk is how much is unpacked at a time on the way to guest memory.
const streamChunk = 256 << 10

// readHead fills k.head with the first bytes of the unpacked image and leaves the stream behind them.
func (k *Kernel) readHead() error {
	s, err := k.src.open()
	if err != nil {
		return err
	}
	head := make([]byte, maxHeaders)
	n, err := io.ReadFull(s, head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		s.Close()
		return k.damaged(err)
	}
	k.head, k.rest = head[:n], s
	return nil
}

func (k *Kernel) damaged(err error) error {
	if k.Compression == "" {
		return err
	}
	return fmt.Errorf("%w: its %s data cannot be unpacked, the file is damaged or cut off: %w", ErrNotKernel, k.Compression, err)
}

// stream passes the whole unpacked image by: segments go to mem (nil: nowhere), notes are kept. The first pass goes on
// where readHead stopped; later ones unpack again.
func (k *Kernel) stream(mem *guestmem.Memory) error {
	var in io.Reader
	if k.rest != nil {
		in = io.MultiReader(bytes.NewReader(k.head), k.rest)
	} else {
		s, err := k.src.open()
		if err != nil {
			return err
		}
		k.rest, in = s, s
	}
	defer k.dropStream()
	notes := k.noteBuffers()
	var chunk []byte
	pos := uint64(0)
	for {
		// A block is unpacked where it belongs, if its bytes stay together there; everything else takes the way over a buffer.
		buf, direct := k.place(mem, pos)
		var n int
		var err error
		if direct {
			n, err = k.rest.(*bounded).readBlock(buf)
			k.tidy(pos, buf[:n])
			clear(buf[n:min(n+overshoot, len(buf))])
		} else {
			if chunk == nil {
				chunk = make([]byte, streamChunk)
			}
			buf = chunk[:k.chunk(mem, pos)]
			n, err = io.ReadFull(in, buf)
		}
		if mem != nil && !direct {
			if werr := k.scatter(mem, pos, buf[:n]); werr != nil {
				return tooSmall(werr)
			}
		}
		for i, s := range k.noteAt {
			intersect(s, pos, buf[:n], func(at uint64, p []byte) error { copy(notes[i][at:], p); return nil })
		}
		pos += uint64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return k.damaged(err)
		}
	}
	return k.finish(pos, notes)
}

// finish checks, at the end of a pass of length bytes, that nothing was missing, and keeps the notes.
func (k *Kernel) finish(length uint64, notes [][]byte) error {
	for _, s := range k.Segments {
		if s.Offset+s.FileSize > length {
			return fmt.Errorf("%w: it ends after %#x bytes, but a segment needs bytes up to %#x; the file is cut off",
				ErrNotKernel, length, s.Offset+s.FileSize)
		}
	}
	if !k.noted {
		k.notes, k.noted = parseAll(notes), true
	}
	return nil
}

func (k *Kernel) noteBuffers() [][]byte {
	bufs := make([][]byte, len(k.noteAt))
	for i, s := range k.noteAt {
		bufs[i] = make([]byte, s.size)
	}
	return bufs
}

// scatter writes the parts of p, image bytes from pos on, that segments want.
func (k *Kernel) scatter(mem *guestmem.Memory, pos uint64, p []byte) error {
	for _, s := range k.Segments {
		err := intersect(span{s.Offset, s.FileSize}, pos, p, func(at uint64, part []byte) error {
			return mem.Write(s.Phys+guestmem.GPA(at), part)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// intersect calls f with the part of p (image bytes from pos on) that lies in s, and its offset in s.
func intersect(s span, pos uint64, p []byte, f func(at uint64, part []byte) error) error {
	lo, hi := max(s.off, pos), min(s.off+s.size, pos+uint64(len(p)))
	if lo >= hi {
		return nil
	}
	return f(lo-s.off, p[lo-pos:hi-pos])
}

// readNotes reads the notes of an uncompressed image directly.
func (k *Kernel) readNotes(r io.ReaderAt) error {
	bufs := k.noteBuffers()
	for i, s := range k.noteAt {
		if n, err := r.ReadAt(bufs[i], int64(s.off)); n < len(bufs[i]) {
			return fmt.Errorf("%w: its notes lie behind its end: %w", ErrNotKernel, err)
		}
	}
	k.notes, k.noted = parseAll(bufs), true
	return nil
}
