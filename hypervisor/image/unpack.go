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
		out = io.NopCloser(newLZ4(in))
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
	return &bounded{in: out, left: s.limit, exact: s.exact}, nil
}

// bounded passes on at most left bytes and reports more (and, if exact, less) as an error. A panic of a
// decompressor, which only damaged input could cause, is that input's error.
type bounded struct {
	in    io.ReadCloser
	left  int64
	exact bool
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, fmt.Errorf("decompressor failed: %v", r)
		}
	}()
	n, err = b.in.Read(p)
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
