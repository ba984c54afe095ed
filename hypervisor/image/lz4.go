package image

import (
	"errors"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"
)

// The LZ4 legacy frame (lz4_Frame_format.md, "Legacy frame"): a magic, then blocks of at most 8 MiB unpacked, each
// with its packed size before it.
const (
	lz4Magic = 0x184c2102
	lz4Block = 8 << 20
)

// lz4Reader unpacks a legacy frame; only blocks are the library's, so that buffers are bounded here.
type lz4Reader struct {
	in       io.Reader
	packed   []byte
	out      []byte // unpacked, not read yet
	buf      []byte
	anything bool
}

func newLZ4(in io.Reader) *lz4Reader { return &lz4Reader{in: in} }

// Read implements io.Reader.
func (z *lz4Reader) Read(p []byte) (int, error) {
	for len(z.out) == 0 {
		if err := z.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, z.out)
	z.out = z.out[n:]
	return n, nil
}

// Close implements io.Closer.
func (z *lz4Reader) Close() error { return nil }

func (z *lz4Reader) buffered() int  { return len(z.out) }
func (z *lz4Reader) blockSize() int { return lz4Block }

// next unpacks the next block, if there is one, into a buffer.
func (z *lz4Reader) next() error {
	if z.buf == nil {
		z.buf = make([]byte, lz4Block)
	}
	n, err := z.readBlock(z.buf)
	z.out = z.buf[:n]
	return err
}

// readBlock implements blockReader. It gives 0 bytes for the magic of a frame.
func (z *lz4Reader) readBlock(dst []byte) (int, error) {
	var size [4]byte
	if _, err := io.ReadFull(z.in, size[:]); err != nil {
		if err == io.EOF && z.anything {
			return 0, io.EOF
		}
		return 0, fmt.Errorf("block size: %w", io.ErrUnexpectedEOF)
	}
	n := le.Uint32(size[:])
	if n == lz4Magic { // the first frame, or one appended to it
		z.anything = true
		return 0, nil
	}
	if !z.anything || n == 0 || int(n) > lz4.CompressBlockBound(lz4Block) {
		return 0, fmt.Errorf("block of %d bytes", n)
	}
	if z.packed == nil {
		z.packed = make([]byte, lz4.CompressBlockBound(lz4Block))
	}
	if _, err := io.ReadFull(z.in, z.packed[:n]); err != nil {
		return 0, fmt.Errorf("block of %d bytes: %w", n, io.ErrUnexpectedEOF)
	}
	m, err := lz4.UncompressBlock(z.packed[:n], dst)
	if err != nil {
		return 0, err
	}
	if m == 0 {
		return 0, errors.New("empty block")
	}
	return m, nil
}
