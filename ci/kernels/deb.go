package kernels

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
)

// Shape of an ar archive (ar(5)): a magic, then members with headers of 60 bytes, each padded to an even length.
const (
	arMagic  = "!<arch>\n"
	arHeader = 60
)

var (
	errNotDeb   = errors.New("not a Debian package")
	errNotThere = errors.New("no such file in the package")
	errEnough   = errors.New("that is enough")
)

// extract copies to w the first regular file of the Debian package r whose path in the package matches pattern (path.Match, such
// as "boot/vmlinuz-*"), and gives its path. At most limit bytes are copied.
func extract(w io.Writer, r io.Reader, pattern string, limit int64) (string, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return "", err
	}
	found := ""
	err := walk(r, limit, func(name string, content io.Reader) error {
		if ok, _ := path.Match(pattern, name); !ok {
			return nil
		}
		found = name
		if _, err := io.Copy(w, content); err != nil {
			return fmt.Errorf("%s in the package: %w", name, err)
		}
		return errEnough
	})
	switch {
	case errors.Is(err, errEnough):
		return found, nil
	case err != nil:
		return "", err
	}
	return "", fmt.Errorf("%w: %s", errNotThere, pattern)
}

// walk calls each for every regular file of the Debian package r, with its path there and its content. Reading of a file with more than limit
// bytes fails. walk ends with the first error of each.
func walk(r io.Reader, limit int64, each func(name string, content io.Reader) error) error {
	data, err := dataMember(bufio.NewReaderSize(r, 1<<20))
	if err != nil {
		return err
	}
	t := tar.NewReader(data)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("package contents: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		name := path.Clean("/" + h.Name)[1:]
		content := io.Reader(t)
		if h.Size > limit {
			content = tooLarge{fmt.Errorf("it has %d bytes, more than %d", h.Size, limit)}
		}
		if err := each(name, content); err != nil {
			return err
		}
	}
}

// tooLarge is the content of a file over the limit.
type tooLarge struct{ err error }

// Read implements io.Reader.
func (t tooLarge) Read([]byte) (int, error) { return 0, t.err }

// dataMember finds data.tar.* in the ar archive and gives its unpacked contents.
func dataMember(r *bufio.Reader) (io.Reader, error) {
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != arMagic {
		return nil, errNotDeb
	}
	h := make([]byte, arHeader)
	for {
		if _, err := io.ReadFull(r, h); err != nil {
			return nil, fmt.Errorf("%w: it has no data.tar", errNotDeb)
		}
		name := strings.TrimRight(string(h[:16]), " /")
		size, err := strconv.ParseInt(strings.TrimSpace(string(h[48:58])), 10, 64)
		if err != nil || size < 0 || !bytes.Equal(h[58:], []byte("`\n")) {
			return nil, fmt.Errorf("%w: damaged header of member %q", errNotDeb, name)
		}
		if strings.HasPrefix(name, "data.tar") {
			return unpack(io.LimitReader(r, size), strings.TrimPrefix(name, "data.tar"))
		}
		if _, err := io.CopyN(io.Discard, r, size+size&1); err != nil {
			return nil, fmt.Errorf("%w: cut short in member %q", errNotDeb, name)
		}
	}
}

func unpack(r io.Reader, ext string) (io.Reader, error) {
	switch ext {
	case "":
		return r, nil
	case ".xz":
		return xz.NewReader(r, 0)
	case ".gz":
		return gzip.NewReader(r)
	case ".bz2":
		return bzip2.NewReader(r), nil
	case ".zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("%w: unknown compression %q", errNotDeb, ext)
}
