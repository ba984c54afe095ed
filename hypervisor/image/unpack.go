package image

import (
	"bufio"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
)

// maxWindow bounds the history a stream may ask its decompressor to keep: zstd -22 --ultra uses 128 MiB.
const maxWindow = 128 << 20

// source gives the unpacked image as a stream, as often as wanted.
type source struct {
	r      *io.SectionReader
	method string // "" means as it is
	limit  int64  // no more output than this
	exact  bool   // and no less
}

func (s source) open() (io.ReadCloser, error) {
	in := bufio.NewReaderSize(io.NewSectionReader(s.r, 0, s.r.Size()), 64<<10)
	var out io.ReadCloser
	var err error
	switch s.method {
	case "":
		out = io.NopCloser(in)
	case "gzip":
		var z *gzip.Reader
		if z, err = gzip.NewReader(in); err == nil {
			z.Multistream(false)
			out = z
		}
	case "bzip2":
		out = io.NopCloser(bzip2.NewReader(in))
	case "xz":
		var z *xz.Reader
		if z, err = xz.NewReader(in, maxWindow); err == nil {
			z.Multistream(false)
			out = io.NopCloser(z)
		}
	case "zstd":
		var z *zstd.Decoder
		z, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxImage))
		if err == nil {
			out = z.IOReadCloser()
		}
	case "lz4":
		out = newLZ4(in)
	case "lzma":
		var z *lzmaReader
		if z, err = newLZMA(in, s.limit); err == nil {
			out = io.NopCloser(z)
		}
	default:
		err = errors.New("not supported")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: its %s data cannot be unpacked, the file is damaged: %w", ErrNotKernel, s.method, err)
	}
	b := &bounded{in: out, left: s.limit, exact: s.exact}
	b.blocks, _ = out.(blockReader)
	return b, nil
}

// blockReader is a stream that can unpack whole blocks to where the caller wants them.
type blockReader interface {
	// buffered gives the number of bytes of the present block that are not read yet.
	buffered() int
	// readBlock unpacks the next block into dst, which has room for any.
	readBlock(dst []byte) (int, error)
	// blockSize is the most bytes that a block has.
	blockSize() int
}

// bounded passes on at most left bytes and reports more (and, if exact, less) as an error. A panic of a
// decompressor, which only damaged input could cause, is that input's error.
type bounded struct {
	in     io.ReadCloser
	blocks blockReader // in, if it has blocks
	left   int64
	exact  bool
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) { return b.read(b.in.Read, p) }

// readBlock is Read for a whole block.
func (b *bounded) readBlock(p []byte) (int, error) { return b.read(b.blocks.readBlock, p) }

func (b *bounded) read(from func([]byte) (int, error), p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, fmt.Errorf("decompressor failed: %v", r)
		}
	}()
	n, err = from(p)
	if int64(n) > b.left {
		return int(b.left), errors.New("it unpacks to more than it says")
	}
	b.left -= int64(n)
	if errors.Is(err, io.ErrUnexpectedEOF) { // not to be taken for the end of the image by io.ReadFull's callers
		return n, errors.New("its end is missing")
	}
	if err == io.EOF && b.exact && b.left > 0 {
		return n, fmt.Errorf("%d bytes are missing at its end", b.left)
	}
	return n, err
}

// Close implements io.Closer.
func (b *bounded) Close() error { return b.in.Close() }
